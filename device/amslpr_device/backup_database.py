"""Copies a SQLite database that is in use and proves the copy. Run as a program, it is the child that copies."""

import json
import os
import pwd
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

ACCOUNT = 'amslpr'


class DatabaseError(Exception):
    """A database is damaged or a copy differs; the message says how."""


def copy_database(source: Path, target: Path) -> dict[str, int]:
    """Copies a database in use, checks the copy, and returns the rows of each of its tables.

    Done by a child that is the application's account, because SQLite may have to write beside the original. The child
    can write the empty file that it finds, and nothing else here.
    """
    target.touch(mode=0o600)
    identity: dict[str, Any] = {}
    if os.geteuid() == 0:
        account = pwd.getpwnam(ACCOUNT)
        os.chown(target, account.pw_uid, account.pw_gid)
        identity = {'user': account.pw_uid, 'group': account.pw_gid, 'extra_groups': []}
    command = [sys.executable, '-I', __file__, str(source), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False, **identity)
    if done.returncode != 0:
        raise DatabaseError(f'{source} could not be copied: {done.stderr.strip().splitlines()[-1:]}')
    return json.loads(done.stdout)


def copy_here(source: str, target: str) -> dict[str, int]:
    """What the child does: original and copy are compared within one read transaction of the original."""
    original = sqlite3.connect(f'{Path(source).as_uri()}?mode=rw', uri=True, timeout=60, isolation_level=None)
    copy = sqlite3.connect(target)
    with closing(original), closing(copy):
        # There is no room for a journal beside the copy, and no need: a copy that is cut short is thrown away.
        copy.execute('PRAGMA journal_mode = OFF')
        original.execute('BEGIN')
        expected = row_counts(original)
        original.backup(copy)
        original.execute('COMMIT')
    leave_wal_mode(target)
    with closing(sqlite3.connect(f'{Path(target).as_uri()}?mode=ro&immutable=1', uri=True)) as copy:
        check_database(copy, expected)
    return expected


def leave_wal_mode(path: str) -> None:
    """Marks a database that is complete in its one file as such (bytes 18 and 19 of its header are 1, not 2).

    A copy says that it has a write-ahead log when the original has one; it has none, and could not be opened read-only.
    """
    with open(path, 'r+b') as file:
        file.seek(18)
        file.write(b'\x01\x01')


def check_database(database: sqlite3.Connection, expected: dict[str, int]) -> None:
    """Raises DatabaseError unless SQLite finds it whole and it has the rows that are expected."""
    faults = [row[0] for row in database.execute('PRAGMA integrity_check')]
    if faults != ['ok']:
        raise DatabaseError(f'the database is damaged: {"; ".join(faults[:3])}')
    found = row_counts(database)
    if found != expected:
        raise DatabaseError(f'the database has the rows {found}, not {expected}')


def row_counts(database: sqlite3.Connection) -> dict[str, int]:
    """Rows of each table."""
    names = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    return {
        name: database.execute('SELECT count(*) FROM "{}"'.format(name.replace('"', '""'))).fetchone()[0]  # noqa: S608
        for name in names
    }


if __name__ == '__main__':
    try:
        print(json.dumps(copy_here(*sys.argv[1:3])))
    except (DatabaseError, sqlite3.Error) as failure:
        sys.exit(str(failure))
