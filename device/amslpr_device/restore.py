"""Puts a decrypted backup in place of what is there: `amslpr-device restore -`, `amslpr-device backup restore FILE`.

Everything is read, checked and written beside its place first; only then the application stops, for a few renames.
What was there before is kept in /var/lib/amslpr/before-restore-TIME. When the application does not answer afterwards,
or the power goes meanwhile, the old files go back.
"""

import hashlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tarfile
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from amslpr_device import restore_undo
from amslpr_device.backup_database import ACCOUNT, DatabaseError, check_database
from amslpr_device.backup_places import FORMAT, MEBIBYTE, BackupError, Places, alone, exclusive, sync_folder
from amslpr_device.restore_services import Services
from amslpr_device.restore_undo import beside

MEMBER = re.compile(
    r'(manifest\.json|database/[\w-]+\.db|settings/config\.json|state/config\.json|state/config/[\w.-]+'
    r'|state/data/images/[\w.-]+|tls/[\w.-]+)'
)

COPYING = 'Backups are copied to the server just now: sudo systemctl stop amslpr-backup-push.service, and restore again'


@dataclass(frozen=True)
class Item:
    """One file to put in place."""

    staged: Path
    target: Path
    owner: str
    group: str
    mode: int


def restore(places: Places, archive: str, tls: bool = False, check_only: bool = False, system: Any = None) -> str:
    """Restores `archive` (a path, or - for standard input) and returns what was done. Raises BackupError."""
    system = system or Services(places)
    with exclusive(places), alone(places, COPYING):
        restore_undo.undo(places)
        staging = places.backups / '.restore'
        staging.mkdir(mode=0o700)
        try:
            manifest = unpack(places, archive, staging)
            check(staging, manifest)
            items = plan(places, staging, manifest, tls)
            about = f'the backup of {manifest["host"]} from {manifest["created"]}: {len(items)} files'
            if check_only:
                return f'Could restore {about}'
            aside = swap_in(places, items, system, tls)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return f'Restored {about}. What was there before is in {aside}'


def unpack(places: Places, archive: str, staging: Path) -> dict[str, Any]:
    """Writes the members below `staging` and returns the manifest; refuses any name that a backup does not have."""
    disk = os.statvfs(staging)
    room = disk.f_bavail * disk.f_frsize - 64 * MEBIBYTE
    stream = sys.stdin.buffer if archive == '-' else open(archive, 'rb')  # noqa: SIM115
    try:
        with stream, tarfile.open(fileobj=stream, mode='r|*') as tar:
            for member in tar:
                if not member.isreg() or not MEMBER.fullmatch(member.name):
                    raise BackupError(f'{member.name[:100]!r} does not belong in a backup')
                room -= member.size
                if room < 0:
                    raise BackupError(f'{places.backups} has no room to unpack the backup')
                source, target = tar.extractfile(member), staging / member.name
                assert source is not None
                target.parent.mkdir(parents=True, exist_ok=True)
                with open(target, 'xb', opener=lambda name, flags: os.open(name, flags, 0o600)) as output:
                    shutil.copyfileobj(source, output)
                    output.flush()
                    os.fsync(output.fileno())
    except (tarfile.TarError, EOFError) as error:
        raise BackupError(f'this is not a decrypted backup, or not all of it: {error}') from None
    except FileExistsError as error:
        raise BackupError(f'{error.filename} is in the backup twice') from None
    try:
        manifest: dict[str, Any] = json.loads((staging / 'manifest.json').read_text())
    except (FileNotFoundError, ValueError):
        raise BackupError('this is not a decrypted backup, or not all of it: it has no manifest') from None
    if manifest.get('format') != FORMAT:
        raise BackupError(f'the backup has format {manifest.get("format")}; this device knows {FORMAT}')
    return manifest


def check(staging: Path, manifest: dict[str, Any]) -> None:
    """Raises unless the files are those of the manifest and the databases are whole."""
    found = {
        str(path.relative_to(staging)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(staging.rglob('*'))
        if path.is_file() and path.name != 'manifest.json'
    }
    expected = {name: entry['sha256'] for name, entry in manifest['files'].items()}
    if found != expected:
        wrong = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
        raise BackupError(f'these files are not as the manifest says: {", ".join(wrong[:5])}')
    if not manifest['tables']:
        raise BackupError('the backup holds no database')
    for name, tables in manifest['tables'].items():
        uri = f'{(staging / "database" / name).as_uri()}?mode=ro&immutable=1'
        try:
            with closing(sqlite3.connect(uri, uri=True)) as database:
                check_database(database, tables)
        except (DatabaseError, sqlite3.Error) as error:
            raise BackupError(f'the database {name} of the backup: {error}') from None


def plan(places: Places, staging: Path, manifest: dict[str, Any], tls: bool) -> list[Item]:
    """Where each file goes and whose it is."""
    items = []
    for name in manifest['files']:
        folder, _, rest = name.partition('/')
        target, owner, group, mode = {
            'database': (places.state / 'data' / rest, ACCOUNT, ACCOUNT, 0o640),
            'state': (places.state / rest, ACCOUNT, ACCOUNT, 0o600),
            'settings': (places.settings / rest, 'root', ACCOUNT, 0o640),
            'tls': (places.settings / 'ssl' / rest, 'root', 'root', 0o600 if 'key' in rest else 0o644),
        }[folder]
        if folder != 'tls' or tls:
            items.append(Item(staging / name, target, owner, group, mode))
    for folder in sorted({item.target.parent for item in items}):
        folder.mkdir(mode=0o750, exist_ok=True)
        if folder.is_symlink():
            raise BackupError(f'{folder} is a link: nothing is written through it')
    return items


def swap_in(places: Places, items: list[Item], system: Any, tls: bool) -> Path:
    """Stops the application, exchanges the files, starts it, and goes back when it does not answer."""
    aside = places.state / f'before-restore-{datetime.now(UTC):%Y%m%dT%H%M%SZ}'
    restore_undo.begin(places, aside, [item.target for item in items])
    try:
        aside.mkdir(mode=0o700)
        for item in items:
            put_beside(item)
        system.stop()
    except BaseException:
        restore_undo.undo(places)
        raise
    try:
        # A journal of the old database would be played into the new one; the last accounts may be ones that are gone.
        ends = ('', '-journal', '-wal', '-shm')
        old = [Path(f'{item.target}{end}') for item in items for end in ends] + [
            places.state / 'config/users.json.last'
        ]
        restore_undo.about_to_move(places, old)
        for path in old:
            set_aside(places, aside, path)
        for item in items:
            beside(item.target).rename(item.target)
            sync_folder(item.target.parent)
        system.start(tls)
        system.wait_until_healthy()
        restore_undo.end(places)
    except BaseException as error:
        system.stop()
        restore_undo.undo(places)
        system.start(tls)
        if isinstance(error, (BackupError, OSError, subprocess.CalledProcessError)):
            raise BackupError(f'{error}; the old files are back in place') from error
        raise
    return aside


def after_cut(places: Places) -> str:
    """Takes a restore back that was cut off, before the application starts."""
    with exclusive(places):
        if restore_undo.undo(places):
            return 'A restore was cut off: everything is as it was before it. Restore again'
    return 'No restore was cut off'


def put_beside(item: Item) -> None:
    """Copies a staged file next to its target, with its final owner and mode."""
    new = beside(item.target)
    new.unlink(missing_ok=True)
    shutil.copyfile(item.staged, new)
    if os.geteuid() == 0:
        shutil.chown(new, item.owner, item.group)
    new.chmod(item.mode)
    with new.open('rb') as file:
        os.fsync(file.fileno())


def set_aside(places: Places, aside: Path, path: Path) -> None:
    """Moves what is at `path` below `aside`, if anything is there."""
    if not os.path.lexists(path):
        return
    kept = aside / path.relative_to(places.root)
    kept.parent.mkdir(parents=True, exist_ok=True)
    restore_undo.move(path, kept)
