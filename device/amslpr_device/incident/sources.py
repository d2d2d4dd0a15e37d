"""What collect-evidence reads by itself rather than by a program."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from amslpr_device.context import Context
from amslpr_device.incident.outlet import Archive

PROC = Path('/proc')
DAYS = 14
HASHED = ['/etc', '/boot', '/usr/bin', '/usr/sbin', '/usr/lib/amslpr', '/usr/lib/systemd', '/usr/local', '/opt/amslpr']
HASHED += ['/usr/lib/modules-load.d', '/usr/lib/udev', '/usr/lib/python3', '/root', '/home', '/etc/systemd']
NOT_ENTERED = {'/proc', '/sys', '/dev', '/run', '/tmp', '/data'}


def processes() -> list[Path]:
    """Their folders, by number."""
    return sorted((one for one in PROC.iterdir() if one.name.isdecimal()), key=lambda one: int(one.name))


def link(path: Path) -> str:
    """Where a link of the kernel leads, empty when it is gone."""
    try:
        return os.readlink(path)
    except OSError:
        return ''


def programs() -> Iterator[bytes]:
    """A line for each process: number, SHA-256 of its program (of deleted ones too), program, folder, root."""
    known: dict[tuple[int, int], str] = {}
    for folder in processes():
        program = link(folder / 'exe')
        if not program:
            continue
        try:
            found = (folder / 'exe').stat()
            key = (found.st_dev, found.st_ino)
            if key not in known:
                known[key] = digest(folder / 'exe')
        except OSError:
            continue
        yield f'{folder.name}\t{known[key]}\t{program}\t{link(folder / "cwd")}\t{link(folder / "root")}\n'.encode()


def open_files() -> Iterator[bytes]:
    """A line for each: number of the process, descriptor, what it is."""
    for folder in processes():
        try:
            names = sorted((folder / 'fd').iterdir(), key=lambda one: int(one.name))
        except OSError:
            continue
        for one in names:
            yield f'{folder.name}\t{one.name}\t{link(one)}\n'.encode(errors='surrogateescape')


def digest(path: Path) -> str:
    """SHA-256 of a regular file; raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    with os.fdopen(descriptor, 'rb') as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError('no regular file')
        return hashlib.file_digest(file, 'sha256').hexdigest()


def walk(ctx: Context, tops: list[str], *, one_file_system: bool = False) -> Iterator[tuple[str, os.stat_result]]:
    """Everything below folders, by its absolute path on the device; folders that cannot be read are left out."""
    for top in tops:
        start = ctx.at(top)
        try:
            device = start.lstat().st_dev
        except OSError:
            continue
        for folder, folders, names in os.walk(start):
            here = '/' + os.path.relpath(folder, ctx.root) if folder != str(ctx.root) else '/'
            kept = sorted(one for one in folders if os.path.join(here, one) not in NOT_ENTERED or not one_file_system)
            folders[:] = kept
            for name in sorted([*names, *kept]):
                try:
                    found = os.lstat(os.path.join(folder, name))
                except OSError:
                    continue
                if one_file_system and found.st_dev != device:
                    if name in folders:
                        folders.remove(name)
                    continue
                yield os.path.join(here, name), found


def line(path: str, found: os.stat_result) -> bytes:
    """Mode, owner, size, times of content and inode, path."""
    times = [datetime.fromtimestamp(one, UTC).isoformat(timespec='seconds') for one in (found.st_mtime, found.st_ctime)]
    facts = [stat.filemode(found.st_mode), f'{found.st_uid}:{found.st_gid}', str(found.st_size), *times, path]
    return ('\t'.join(facts) + '\n').encode(errors='surrogateescape')


def listing(ctx: Context, tops: list[str]) -> Iterator[bytes]:
    """What is in folders that a restart empties."""
    for path, found in walk(ctx, tops):
        yield line(path, found)


def changed(ctx: Context, clock: float) -> Iterator[bytes]:
    """What of root was written or renamed in the last two weeks, and everything that runs as somebody else."""
    for path, found in walk(ctx, ['/'], one_file_system=True):
        privileged = stat.S_ISREG(found.st_mode) and found.st_mode & 0o6000
        if privileged or max(found.st_mtime, found.st_ctime) > clock - DAYS * 86_400:
            yield line(path, found)


def hashes(ctx: Context) -> Iterator[bytes]:
    """Digests of programs and settings, in the format of sha256sum."""
    for path, found in walk(ctx, HASHED):
        if stat.S_ISREG(found.st_mode):
            try:
                yield f'{digest(ctx.at(path))}  {path}\n'.encode(errors='surrogateescape')
            except OSError:
                continue


def copy(ctx: Context, archive: Archive, folder: str, patterns: list[str], errors: list[str]) -> None:
    """Files by patterns, at FOLDER/files/PATH. Links and what is no regular file are named, not followed."""
    for pattern in patterns:
        for path in sorted(ctx.root.glob(pattern.lstrip('/'))):
            name = f'{folder}/files/{path.relative_to(ctx.root)}'
            if path.is_symlink():
                archive.add(f'{name}.link', os.readlink(path).encode(errors='surrogateescape'))
                continue
            if not path.is_file():
                continue
            try:
                with open(path, 'rb', opener=lambda one, flags: os.open(one, flags | os.O_NOFOLLOW)) as file:
                    archive.add_parts(name, iter(lambda file=file: file.read(1 << 16), b''))
            except OSError as error:
                errors.append(f'{path}: {error.strerror}')
