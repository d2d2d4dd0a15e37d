"""Files that are there complete or not at all, whenever the power goes; and files that are overwritten in place."""

from __future__ import annotations

import grp
import json
import os
import pwd
from pathlib import Path
from typing import Any


def sync_folder(path: Path) -> None:
    """Makes renames in a folder last."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(path: Path, mode: int = 0o755, owner: str = 'root:root') -> None:
    """A folder with mode and owner, whose own name lasts; changes nothing when all is so already."""
    if not path.is_dir():
        path.mkdir(mode=mode, parents=True)
        sync_folder(path.parent)
    if path.stat().st_mode & 0o7777 != mode:
        path.chmod(mode)
    give(path, owner)


def give(path: Path, owner: str) -> None:
    """Sets `user:group`; nobody but root can."""
    if os.geteuid() != 0:
        return
    user, group = owner.split(':')
    uid, gid = pwd.getpwnam(user).pw_uid, grp.getgrnam(group).gr_gid
    found = path.stat()
    if (found.st_uid, found.st_gid) != (uid, gid):
        os.chown(path, uid, gid)


def write(path: Path, data: bytes | str, mode: int = 0o644, owner: str = 'root:root') -> None:
    """Puts a file in place by a synced rename. A cut leaves the old file, or none, and perhaps `.NAME.new`."""
    unfinished = path.with_name(f'.{path.name}.new')
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, 'wb') as file:
        file.write(data.encode() if isinstance(data, str) else data)
        file.flush()
        os.fchmod(file.fileno(), mode)
        give(unfinished, owner)
        os.fsync(file.fileno())
    move(unfinished, path)


def move(source: Path, target: Path) -> None:
    """Renames within a folder, so that it lasts."""
    source.rename(target)
    sync_folder(target.parent)


def write_record(path: Path, record: dict[str, Any], mode: int = 0o600) -> None:
    """The same for a record as JSON."""
    write(path, json.dumps(record, indent=1, sort_keys=True) + '\n', mode)


def holds(path: Path, data: bytes | str, mode: int) -> bool:
    """Whether a file has just this content and mode."""
    try:
        wanted = data.encode() if isinstance(data, str) else data
        return path.read_bytes() == wanted and path.stat().st_mode & 0o7777 == mode
    except OSError:
        return False


def overwrite(path: Path, data: bytes, fill: bytes = b'\n') -> bool:
    """Writes into a preallocated file without changing its size; False when it says so already.

    FAT's rename is not atomic, and new clusters need a change of its table: only the file's own sectors are written.
    """
    size = path.stat().st_size
    if len(data) > size:
        raise ValueError(f'{path.name} has {size} bytes, {len(data)} do not fit')
    padded = data + fill * (size - len(data))
    if path.read_bytes() == padded:
        return False
    with path.open('r+b') as file:
        file.write(padded)
        file.flush()
        os.fsync(file.fileno())
    return True
