"""What backup and restore share: where things are, one at a time, and files that are there complete or not at all."""

import fcntl
import json
import os
import pwd
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amslpr_device.backup_database import ACCOUNT

FORMAT = 1
SUFFIX = '.tar.gz.age'
MEBIBYTE = 1 << 20


class BackupError(Exception):
    """Something the operator can mend; the message says what."""


@dataclass(frozen=True)
class Places:
    """Where things are below `root`, which is / but in tests."""

    root: Path = Path('/')

    @property
    def state(self) -> Path:
        return self.root / 'var/lib/amslpr'

    @property
    def settings(self) -> Path:
        return self.root / 'etc/amslpr'

    @property
    def backups(self) -> Path:
        return self.root / 'var/backups/amslpr'

    @property
    def recipients(self) -> Path:
        return self.settings / 'secrets/backup-recipients'

    @property
    def socket(self) -> Path:
        return self.root / 'run/amslpr/app.sock'

    def options(self) -> dict[str, Any]:
        """`retention` (archives that are kept) and `images` (whether pictures of plates are in them)."""
        path = self.root / 'usr/share/amslpr/backup.json'
        return {'retention': 14, 'images': False, **(json.loads(path.read_text()) if path.is_file() else {})}


def is_regular(path: Path) -> bool:
    """A file, and not a link: the application owns these folders and must not make root read something else."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:
        return False


@contextmanager
def exclusive(places: Places) -> Iterator[None]:
    """One backup or restore at a time, and only with the data partition open."""
    if places.root == Path('/') and not places.backups.is_mount():
        raise BackupError('The data partition is closed: `amslpr-device status` says why')
    with open(places.backups / '.lock', 'w', opener=lambda name, flags: os.open(name, flags, 0o600)) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupError('Another backup or restore is running') from None
        with records_locked(places):
            for left_over in places.backups.glob('.amslpr-*.part'):
                left_over.unlink()
        # A power cut leaves what a restore has unpacked, in the clear.
        shutil.rmtree(places.backups / '.restore', ignore_errors=True)
        yield


@contextmanager
def alone(places: Places, busy: str) -> Iterator[None]:
    """One sender of copies at a time, and none beside a restore; `busy` says what to do. Backups do not wait for it."""
    with open(places.backups / '.push.lock', 'w', opener=lambda name, flags: os.open(name, flags, 0o600)) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupError(busy) from None
        yield


@contextmanager
def records_locked(places: Places) -> Iterator[None]:
    """For moments, in which a record is changed or archives go: whoever sends copies does so beside a backup."""
    folder = os.open(places.backups, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


@contextmanager
def temporary_folder(path: Path) -> Iterator[None]:
    """A new folder that the application's account may pass through but not change; removed at the end."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(path, 0, pwd.getpwnam(ACCOUNT).pw_gid)
        path.chmod(0o710)
    try:
        yield
    finally:
        shutil.rmtree(path)


def write_new(path: Path, data: bytes, mode: int) -> None:
    """Writes a file for the group of its folder, so that it is there complete, or not."""
    unfinished = path.with_name(f'.{path.name}.part')
    with open(unfinished, 'wb', opener=lambda name, flags: os.open(name, flags, mode)) as file:
        file.write(data)
        file.flush()
        os.fchmod(file.fileno(), mode)
        if os.geteuid() == 0:
            os.fchown(file.fileno(), 0, path.parent.stat().st_gid)
        os.fsync(file.fileno())
    unfinished.rename(path)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Makes renames in a folder last through a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
