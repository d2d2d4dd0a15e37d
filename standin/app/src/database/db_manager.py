"""The database: data/amslpr.db with the seven tables of AMSLPR."""

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from src.utils.paths import DATABASE

SCHEMA = """
CREATE TABLE IF NOT EXISTS vehicles (
    id INTEGER PRIMARY KEY, plate_number TEXT UNIQUE NOT NULL, description TEXT, authorized INTEGER NOT NULL DEFAULT 1,
    created_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS access_logs (
    id INTEGER PRIMARY KEY, plate_number TEXT NOT NULL, access_time TEXT NOT NULL, authorized INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS parking_sessions (
    id INTEGER PRIMARY KEY, plate_number TEXT NOT NULL, entry_time TEXT NOT NULL, exit_time TEXT, fee REAL);
CREATE TABLE IF NOT EXISTS cameras (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, address TEXT NOT NULL, username TEXT, password TEXT);
CREATE TABLE IF NOT EXISTS payment_transactions (
    id INTEGER PRIMARY KEY, session_id INTEGER, amount REAL NOT NULL, status TEXT NOT NULL, created_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, detail TEXT, created_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS api_keys (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, key_hash TEXT UNIQUE NOT NULL, created_at TEXT NOT NULL);
"""


@contextmanager
def connection() -> Iterator[sqlite3.Connection]:
    """A connection that commits at the end and rolls back on an error."""
    database = sqlite3.connect(DATABASE, timeout=10)
    database.row_factory = sqlite3.Row
    try:
        with database:
            yield database
    finally:
        database.close()


def create() -> None:
    """Makes what is missing."""
    (DATABASE.parent / 'images').mkdir(parents=True, exist_ok=True)
    with connection() as database:
        database.executescript(SCHEMA)


def vehicles() -> list[dict[str, object]]:
    """All vehicles, by plate."""
    with connection() as database:
        return [dict(row) for row in database.execute('SELECT * FROM vehicles ORDER BY plate_number')]


def add_vehicle(plate: str, description: str, authorized: bool) -> None:
    """Adds a vehicle or changes the one with this plate."""
    with connection() as database:
        database.execute(
            'INSERT INTO vehicles (plate_number, description, authorized, created_at) VALUES (?, ?, ?, ?)'
            ' ON CONFLICT (plate_number) DO UPDATE'
            ' SET description = excluded.description, authorized = excluded.authorized',
            (plate, description, int(authorized), datetime.now(UTC).isoformat()),
        )


def known_api_key(key: str) -> bool:
    """Whether a key is one of the api_keys, which hold SHA-256 sums."""
    with connection() as database:
        digest = hashlib.sha256(key.encode()).hexdigest()
        return database.execute('SELECT 1 FROM api_keys WHERE key_hash = ?', (digest,)).fetchone() is not None
