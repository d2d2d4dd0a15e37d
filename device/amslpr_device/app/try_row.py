"""Whether a database takes a row: `try_row.py DATABASE`, exit code 0 or 1 with the reason.

A program of its own, run as the application's account: root could write where that cannot. Imports nothing of ours.
"""

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

TABLE = 'amslpr_device_probe'


def take_row(path: str) -> None:
    """Opens a database that exists, has SQLite look it over, writes a row and rolls it back; raises sqlite3.Error."""
    uri = f'{Path(path).as_uri()}?mode=rw'
    with closing(sqlite3.connect(uri, uri=True, timeout=30, isolation_level=None)) as database:
        faults = [row[0] for row in database.execute('PRAGMA quick_check(3)')]
        if faults != ['ok']:
            raise sqlite3.DatabaseError('; '.join(faults))
        database.execute('BEGIN IMMEDIATE')
        try:
            database.execute(f'CREATE TABLE {TABLE} (value TEXT)')
            database.execute(f"INSERT INTO {TABLE} VALUES ('row')")  # noqa: S608 - a constant
            if database.execute(f'SELECT value FROM {TABLE}').fetchall() != [('row',)]:  # noqa: S608
                raise sqlite3.DatabaseError('a row that was written is not there')
        finally:
            if database.in_transaction:
                database.execute('ROLLBACK')


if __name__ == '__main__':
    try:
        take_row(sys.argv[1])
    except sqlite3.Error as failure:
        sys.exit(str(failure))
