"""Turns an archive of the application into a release folder, laid out as stages/application does it for an image.

Nothing of the archive is trusted: names are checked before anything is written, links and devices are refused, sizes
are counted while they are read, and all of it is written into a folder that no program looks into until it is whole.
"""

from __future__ import annotations

import ast
import hashlib
import os
import re
import shutil
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from amslpr_device.app import releases
from amslpr_device.backup_places import MEBIBYTE, BackupError, Places
from amslpr_device.files import give, move, sync_folder

# What is taken and what is left out: the same lists as in stages/application.ts; a test compares them.
ALLOWED = ('src', 'config.json', 'config/ocr_config.json', 'models', 'static', 'templates')
REFUSED = re.compile(
    r'(\..*|__pycache__|tests?|test_.*|.*\.pyc|.*\.exe|crypto\.key|users\.json|camera_config\.json|cookies\.txt'
    r'|instance|flask_session|venv.*)'
)
ENTRIES = 20_000
BYTES = 1024 * MEBIBYTE
RESERVE = 256 * MEBIBYTE
LONGEST = 200

# Where a version is looked for, as when an image is made (src/plan/source-files.ts): this file, then a name's end.
VERSION_FILE = 'VERSION'
VERSION = re.compile(r'[A-Za-z0-9][A-Za-z0-9._+~/-]{0,63}')
IN_NAME = re.compile(r'[-_](v?\d[A-Za-z0-9._+~-]*|[0-9a-f]{40})$')
ENDING = re.compile(r'\.(tar|tar\.gz|tgz|tar\.xz|txz)$')


@dataclass(frozen=True)
class Unpacked:
    """A release that is complete on the card."""

    name: str
    is_new: bool


def unpack(places: Places, archive: str) -> Unpacked:
    """Makes the release of `archive` (a path, or - for standard input); raises BackupError, and then nothing is left.

    The name is that of an image with the same files: the first half of a SHA-256 over all of them.
    """
    aside = releases.home(places) / '.new'
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(mode=0o700)
    try:
        tree, digests = inside(aside / 'all', read(archive, aside / 'all'))
        require(archive, tree)
        version = version_of(archive, aside / 'all', tree)
        digest = hashlib.sha256(''.join(f'{digests[path]}  {path}\n' for path in sorted(digests)).encode()).hexdigest()
        target = releases.home(places) / digest[:16]
        is_new = not target.exists()
        if is_new:
            lay_out(places, tree, f'sha256: {digest}\nversion: {version}\nsource: archive\nfiles: {len(digests)}\n')
            move(tree, target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return Unpacked(target.name, is_new)


def read(archive: str, tree: Path) -> dict[str, str]:
    """Writes what is wanted of the archive below `tree` and returns the SHA-256 of each file."""
    tree.mkdir()
    digests: dict[str, str] = {}
    room = min(BYTES, free(tree) - RESERVE)
    try:
        stream: IO[bytes] = sys.stdin.buffer if archive == '-' else open(archive, 'rb')  # noqa: SIM115
    except OSError as error:
        raise BackupError(f'{archive} cannot be read: {error.strerror}') from None
    try:
        with stream, tarfile.open(fileobj=stream, mode='r|*') as tar:
            for number, member in enumerate(tar):
                if number >= ENTRIES:
                    raise BackupError(f'{archive} has more than {ENTRIES} entries: that is not the application')
                room -= member.size
                if room < 0:
                    raise BackupError(
                        f'{archive} is too large: {BYTES // MEBIBYTE} MiB at most, and of {free(tree) // MEBIBYTE} MiB '
                        f'that are free {RESERVE // MEBIBYTE} MiB must stay free'
                    )
                path = checked(archive, member)
                # A checkout's archive has one folder around everything.
                below = path.partition('/')[2]
                if not member.isreg() or not (wanted(path) or wanted(below) or VERSION_FILE in (path, below)):
                    continue
                if path in digests:
                    raise BackupError(f'{archive} has {path} twice')
                source = tar.extractfile(member)
                assert source is not None
                digests[path] = write(source, tree / path)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise BackupError(
            f'{archive} could not be unpacked: {error}. Make it with: tar -czf app.tar.gz -C FOLDER src config.json …'
        ) from None
    return digests


def checked(archive: str, member: tarfile.TarInfo) -> str:
    """The path of an entry without `./`; raises BackupError for anything that could lead elsewhere."""
    name = member.name
    parts = [part for part in name.split('/') if part not in ('', '.')]
    if name.startswith('/') or '..' in parts or '\\' in name or not name.isprintable():
        raise BackupError(f'{archive}: {name[:100]!r} leads out of the folder of the application')
    if len(name.encode()) > LONGEST:
        raise BackupError(f'{archive}: the name {name[:100]!r}… has more than {LONGEST} bytes')
    if not member.isreg() and not member.isdir():
        kind = 'a link' if member.issym() or member.islnk() else 'neither a file nor a folder'
        raise BackupError(f'{archive}: {name[:100]!r} is {kind}; replace links by what they point to')
    return '/'.join(parts)


def inside(tree: Path, digests: dict[str, str]) -> tuple[Path, dict[str, str]]:
    """The folder of the application in what was unpacked, and the digests of what is wanted of it."""
    tops = [path.removesuffix('src/web/app.py') for path in digests if path.endswith('src/web/app.py')]
    top = '' if '' in tops or len(tops) != 1 else tops[0]
    found = {path.removeprefix(top): digest for path, digest in digests.items() if path.startswith(top)}
    for path in [path for path in found if not wanted(path)]:
        if path != VERSION_FILE:
            (tree / top / path).unlink()
        del found[path]
    return tree / top, found


def version_of(archive: str, around: Path, tree: Path) -> str:
    """What the archive says that it is; its file VERSION is for this alone, and goes."""
    file = tree / VERSION_FILE
    written = ''
    if file.is_file():
        with file.open(errors='replace') as lines:
            written = lines.readline(200).strip()
        file.unlink()
    names = [ENDING.sub('', Path(archive).name)]
    if tree != around:
        names.append(tree.name)
    said = [found[1] for name in names if (found := IN_NAME.search(name))]
    version = next((one for one in [written, *said] if one), 'unknown')
    return version if VERSION.fullmatch(version) else 'unknown'


def wanted(path: str) -> bool:
    """Whether a file belongs into a release: code and models, but no tests, keys, accounts or sessions."""
    taken = any(path == entry or path.startswith(f'{entry}/') for entry in ALLOWED)
    return taken and not any(REFUSED.fullmatch(part) for part in path.split('/'))


def write(source: IO[bytes], target: Path) -> str:
    """Copies one file, synced, and returns its SHA-256."""
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with target.open('xb') as file:
        while block := source.read(MEBIBYTE):
            digest.update(block)
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def require(archive: str, tree: Path) -> None:
    """Raises unless the wrapper (/usr/lib/amslpr/amslpr_wsgi.py) finds what it imports."""
    missing = [path for path in ('src/web/app.py', 'config.json') if not (tree / path).is_file()]
    if missing:
        raise BackupError(f'{archive} does not look like AMSLPR: {" and ".join(missing)} must be at its top')
    try:
        module = ast.parse((tree / 'src/web/app.py').read_bytes())
    except (SyntaxError, ValueError) as error:
        raise BackupError(f'{archive}: src/web/app.py is no Python {sys.version_info.major} file: {error}') from None
    stored = {node.id for node in ast.walk(module) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    if 'app' not in stored:
        raise BackupError(f'{archive}: src/web/app.py sets no `app`, which is what the wrapper takes from it')


def lay_out(places: Places, tree: Path, about: str) -> None:
    """Writes `about` it, puts links in the place of what the application writes, and gives all of it to root."""
    # The device's own configuration stays; the archive's is kept for a look.
    (tree / 'config.json').rename(tree / 'config.json.archive')
    if (tree / 'config').is_dir():
        (tree / 'config').rename(tree / 'defaults')
    (tree / 'config.json').symlink_to(places.settings / 'config.json')
    for name in ('data', 'config', 'backups'):
        (tree / name).symlink_to(places.state / name)
    (tree / 'RELEASE').write_text(about)
    for folder, names, contents in os.walk(tree, topdown=False):
        for path in (Path(folder, name) for name in names):
            if not path.is_symlink() and not any(path.iterdir()):
                path.rmdir()
        for path in (Path(folder, name) for name in contents):
            if not path.is_symlink():
                # Not for others to read: a new configuration may hold what the old one does.
                path.chmod(0o600 if path.name == 'config.json.archive' else 0o644)
                give(path, 'root:root')
                with path.open('rb') as file:
                    os.fsync(file.fileno())
        os.chmod(folder, 0o755)  # noqa: S103 - nothing of it is secret
        give(Path(folder), 'root:root')
        sync_folder(Path(folder))


def free(path: Path) -> int:
    """Bytes that are free for others than root, too."""
    disk = os.statvfs(path)
    return disk.f_bavail * disk.f_frsize
