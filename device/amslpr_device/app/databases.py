"""The application's databases around a change of release: a copy before, the copy back, and whether they take a row."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from amslpr_device.app import releases
from amslpr_device.backup_database import ACCOUNT, DatabaseError, copy_database
from amslpr_device.backup_places import MEBIBYTE, BackupError, Places, is_regular, temporary_folder
from amslpr_device.files import give, move, sync_folder, write_record

SIDES = ('-journal', '-wal', '-shm')
TRY = Path(__file__).with_name('try_row.py')
RESERVE = 64 * MEBIBYTE


def folder(places: Places) -> Path:
    """Where they are; raises BackupError when the application put a link there."""
    path = places.state / 'data'
    if path.is_symlink() or not path.is_dir():
        raise BackupError(f'{path} is no folder: nothing is read or written through a link')
    return path


def present(places: Places) -> list[Path]:
    """Every database, without links."""
    return sorted(path for path in folder(places).glob('*.db') if is_regular(path))


def snapshot(places: Places, name: str, before: str, damaged_too: bool = False) -> Path:
    """Copies the databases by SQLite's backup into the snapshot `name`, and proves the copies.

    With `damaged_too` the files of one that SQLite cannot read are copied as they are. Raises BackupError; then there
    is no snapshot `name`, or the one of before.
    """
    found = present(places)
    needed = 2 * sum(path.stat().st_size for path in found)
    if shutil.disk_usage(places.backups).free < needed + RESERVE:
        raise BackupError(
            f'{places.backups} needs {(needed + RESERVE) // MEBIBYTE} MiB to copy the database: remove old backups, or '
            'lower backup.retention'
        )
    home = releases.snapshots(places)
    home.mkdir(mode=0o700, exist_ok=True)
    aside = home / f'.{name}.new'
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(mode=0o700)
    try:
        with temporary_folder(places.backups / '.staging'):
            for source in found:
                copy_one(source, places.backups / '.staging' / source.name, damaged_too)
            names = sorted(path.name for path in (places.backups / '.staging').iterdir())
            for one in names:
                keep(places.backups / '.staging' / one, aside / one)
    except DatabaseError as error:
        shutil.rmtree(aside)
        raise BackupError(f'{error}: nothing was changed; restore a backup first (amslpr-device restore)') from None
    stamp = datetime.now(UTC).strftime('%Y-%m-%dT%H:%M:%SZ')
    write_record(aside / 'record.json', {'release': name, 'before': before, 'created': stamp, 'databases': names})
    shutil.rmtree(home / name, ignore_errors=True)
    move(aside, home / name)
    return home / name


def copy_one(source: Path, target: Path, damaged_too: bool) -> None:
    """One database; as plain files when it is damaged and that is allowed."""
    try:
        copy_database(source, target)
    except DatabaseError:
        target.unlink(missing_ok=True)
        if not damaged_too:
            raise
        for end in ('', *SIDES):
            if is_regular(Path(f'{source}{end}')):
                shutil.copyfile(f'{source}{end}', f'{target}{end}')


def keep(copy: Path, target: Path) -> None:
    """Takes a finished copy out of the reach of the application."""
    copy.rename(target)
    give(target, 'root:root')
    target.chmod(0o600)
    with target.open('rb') as file:
        os.fsync(file.fileno())


def put_back(places: Places, source: Path) -> None:
    """Puts the databases of a snapshot in place; the application must be stopped. Repeating it after a cut is safe.

    One that is not in the snapshot is set aside under another name, since it may hold what nothing else does.
    """
    data = folder(places)
    names = json.loads((source / 'record.json').read_text())['databases']
    for name in names:
        copied = data / f'.{name}.back'
        copied.unlink(missing_ok=True)
        with (source / name).open('rb') as old, copied.open('xb') as new:
            shutil.copyfileobj(old, new)
            new.flush()
            os.fchmod(new.fileno(), 0o640)
            os.fsync(new.fileno())
        give(copied, f'{ACCOUNT}:{ACCOUNT}')
    for path in present(places):
        # The journal of a database that goes would be played into the one that comes.
        for end in SIDES:
            Path(f'{path}{end}').unlink(missing_ok=True)
        if path.name not in names:
            path.rename(path.with_name(f'{path.name}.not-in-{source.name}'))
    for name in names:
        (data / f'.{name}.back').rename(data / name)
    sync_folder(data)


def require_rows(places: Places) -> None:
    """Raises BackupError unless there is a database and each takes a row, which is taken back."""
    found = present(places)
    if not found:
        raise BackupError(f'the application made no database in {places.state}/data')
    identity: dict[str, Any] = {}
    if os.geteuid() == 0:
        account = pwd.getpwnam(ACCOUNT)
        identity = {'user': account.pw_uid, 'group': account.pw_gid, 'extra_groups': []}
    for path in found:
        command = [sys.executable, '-I', str(TRY), str(path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **identity)
        if done.returncode != 0:
            raise BackupError(f'{path} takes no row: {" ".join(done.stderr.strip().splitlines()[-1:])}')
