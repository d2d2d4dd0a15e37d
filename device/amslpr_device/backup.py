"""Encrypted backups of the application: `amslpr-device backup create | list | verify [NAME] | cat NAME`.

A backup is a gzipped tar (database copy, accounts, keys, configuration, TLS, and manifest.json with sizes, SHA-256 and
row counts as its last member), encrypted by age to the operator's recipients. Nothing on the device can read it again;
that it is good is therefore proven before encryption (backup_contents.py). A record beside each archive, readable by
administrators, says what is in it, and which one was made after which: the clock may have been wrong.
"""

import argparse
import hashlib
import json
import os
import shutil
import sqlite3
import stat
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from amslpr_device import backup_contents
from amslpr_device.backup_archive import count_stanzas, write_archive
from amslpr_device.backup_database import DatabaseError
from amslpr_device.backup_places import (
    MEBIBYTE,
    SUFFIX,
    BackupError,
    Places,
    exclusive,
    records_locked,
    temporary_folder,
)
from amslpr_device.backup_records import archives, note_copy, number, read_record, write_record

# What a copy that was fetched is said to be with.
OPERATOR = 'the operator'


def create(places: Places) -> str:
    """Makes a backup and returns its name. Removes the oldest when it succeeds; leaves all alone when it fails."""
    with exclusive(places):
        recipients = read_recipients(places.recipients)
        require_space(places)
        name = new_name(places)
        staging = places.backups / '.staging'
        with temporary_folder(staging):
            tables, members = backup_contents.take(places, staging)
            record = write_archive(places, name, members, tables, recipients)
        last = max(number(places, one) for one in archives(places))
        write_record(places, {**record, 'number': last + 1})
        prune(places, int(places.options()['retention']))
    return name


def new_name(places: Places) -> str:
    """A name by the second that no archive has: a clock that was set back shows a time again."""
    while True:
        name = datetime.now(UTC).strftime('amslpr-%Y%m%dT%H%M%SZ')
        if not (places.backups / (name + SUFFIX)).exists():
            return name
        time.sleep(1)


def require_space(places: Places) -> None:
    """Refuses when the backup could fill the partition on which the application writes too."""
    needed = backup_contents.most(places)
    disk = os.statvfs(places.backups)
    free, part = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize // 20
    # A twentieth, but not so much of a large card that backups end while there is plenty of room.
    reserve = min(max(64 * MEBIBYTE, part), 1024 * MEBIBYTE)
    if free < needed + reserve:
        raise BackupError(
            f'{places.backups} has {free // MEBIBYTE} MiB free; this backup may need {needed // MEBIBYTE} MiB, and '
            f'{reserve // MEBIBYTE} MiB stay free for the application. Remove old backups or lower backup.retention'
        )


def read_recipients(path: Path) -> list[str]:
    """The recipients, one a line; comments start with #."""
    try:
        lines = [line.strip() for line in path.read_text().splitlines()]
    except FileNotFoundError:
        lines = []
    recipients = [line for line in lines if line and not line.startswith('#')]
    if not recipients:
        raise BackupError(f'{path} names no age recipient: nobody could read the backup')
    return recipients


def records(places: Places) -> list[dict[str, Any]]:
    """Records of all archives that have one, in the order in which they were made."""
    return [found for name in archives(places) if (found := read_record(places, name))]


def verify(places: Places, name: str) -> str:
    """What is wrong with an archive, or an empty text: whether it is still, byte for byte, the one that was made."""
    record = json.loads((places.backups / f'{name}.json').read_text())
    try:
        with (places.backups / (name + SUFFIX)).open('rb') as archive:
            if count_stanzas(archive) != record['recipients']:
                return 'its recipients have changed'
            archive.seek(0)
            found = hashlib.file_digest(archive, 'sha256').hexdigest()
    except FileNotFoundError:
        return 'it is gone'
    return '' if found == record['sha256'] else 'its content has changed'


def prune(places: Places, retention: int) -> None:
    """Removes all but the `retention` archives that were made last. The one that was just made is the last of all."""
    with records_locked(places):
        for name in archives(places)[:-retention]:
            (places.backups / (name + SUFFIX)).unlink(missing_ok=True)
            (places.backups / f'{name}.json').unlink(missing_ok=True)


def cat(places: Places, name: str) -> None:
    """Writes an archive to standard output. Taken whole, by what is no file here, it is a copy."""
    name = Path(name).name.removesuffix(SUFFIX)
    with (places.backups / (name + SUFFIX)).open('rb') as archive:
        shutil.copyfileobj(archive, sys.stdout.buffer)
    sys.stdout.buffer.flush()
    if stat.S_ISREG(os.fstat(sys.stdout.buffer.fileno()).st_mode):
        return
    try:
        note_copy(places, name, OPERATOR)
    except OSError as error:
        print(f'the copy is whole, but could not be noted: {error}', file=sys.stderr)


def main(argv: list[str], places: Places | None = None) -> int:
    """Answers `backup …` and `restore …` of amslpr-device; returns the exit code: 0, or 1 with a reason on stderr."""
    parser = argparse.ArgumentParser(
        prog='amslpr-device backup', epilog='push set|key|show|test|off: copies to a server'
    )
    verbs = parser.add_subparsers(dest='verb', required=True)
    verbs.add_parser('create', help='make a backup now')
    listing = verbs.add_parser('list', help='what backups there are')
    listing.add_argument('--json', action='store_true')
    check = verbs.add_parser('verify', help='whether backups are still the ones that were made')
    check.add_argument('name', nargs='?')
    cat = verbs.add_parser('cat', help='write a backup, encrypted as it is, to standard output')
    cat.add_argument('name')
    back = verbs.add_parser('restore', help='put a decrypted backup in place of what is there')
    back.add_argument('archive', nargs='?', help='the decrypted .tar.gz, or - for standard input')
    back.add_argument('--after-cut', action='store_true', help='take back a restore that a power cut ended')
    back.add_argument('--tls', action='store_true', help='restore TLS key and certificate too')
    back.add_argument('--check-only', action='store_true', help='say whether it could be restored, and change nothing')
    arguments = parser.parse_args(argv)
    places = places or Places(Path(os.environ.get('AMSLPR_ROOT', '/')))
    try:
        return answer(arguments, places)
    except (BackupError, DatabaseError, OSError, sqlite3.Error) as error:
        print(f'{arguments.verb} failed: {error}', file=sys.stderr)
        return 1


def answer(arguments: argparse.Namespace, places: Places) -> int:
    """Does what the parsed command line says."""
    if arguments.verb == 'create':
        name = create(places)
        print(f'{name} made, proven and encrypted')
    elif arguments.verb == 'list':
        show(records(places), arguments.json)
    elif arguments.verb == 'verify':
        names = [arguments.name] if arguments.name else [record['name'] for record in records(places)]
        results = {name: verify(places, name) for name in names}
        for name, fault in results.items():
            print(f'{name}: {fault or "good"}')
        return 1 if any(results.values()) or not results else 0
    elif arguments.verb == 'cat':
        cat(places, arguments.name)
    else:
        from amslpr_device import restore

        if arguments.after_cut:
            print(restore.after_cut(places))
            return 0
        if arguments.archive is None:
            raise BackupError('it needs a decrypted archive, or - for standard input')
        print(restore.restore(places, arguments.archive, tls=arguments.tls, check_only=arguments.check_only))
    return 0


def show(found: list[dict[str, Any]], as_json: bool) -> None:
    """Prints the records, for programs or for people."""
    if as_json:
        print(json.dumps(found, indent=2))
        return
    for record in found:
        rows = sum(sum(tables.values()) for tables in record['tables'].values())
        print(f'{record["name"]}  {record["size"]:>12,} bytes  {record["files"]} files  {rows} rows')
    if not found:
        print('There is no backup yet')


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
