"""A device whose application has data, for tests of backups."""

from __future__ import annotations

import base64
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from amslpr_device.backup_places import SUFFIX, Places

KEY = subprocess.run(
    ['openssl', 'genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'], capture_output=True, check=True
).stdout.decode()


def make_device(folder: Path) -> Places:
    """A device with 1000 vehicles, accounts, a key and a certificate, and one recipient whose key is in `identity`."""
    root = folder / 'device'
    for name, text in {
        'etc/amslpr/config.json': '{"name": "gate"}',
        'etc/amslpr/ssl/key.pem': KEY,
        'etc/amslpr/ssl/cert.pem': 'a certificate',
        'var/lib/amslpr/config/users.json': '{"users": {"admin": {}}}',
        'var/lib/amslpr/config/crypto.key': base64.urlsafe_b64encode(b'k' * 32).decode(),
        'var/lib/amslpr/data/images/plate.jpg': 'a picture',
        'usr/share/amslpr/backup.json': '{"retention": 2}',
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    for empty in ('var/backups/amslpr', 'etc/amslpr/secrets'):
        (root / empty).mkdir(parents=True)
    made = subprocess.run(['age-keygen', '-o', folder / 'identity'], capture_output=True, text=True, check=True)
    recipient = made.stderr.split()[-1]
    (root / 'etc/amslpr/secrets/backup-recipients').write_text(f'# the operator\n{recipient}\n')
    with closing(sqlite3.connect(root / 'var/lib/amslpr/data/amslpr.db')) as database, database:
        database.execute('CREATE TABLE vehicles (plate TEXT)')
        database.executemany('INSERT INTO vehicles VALUES (?)', [(f'P{n}',) for n in range(1000)])
    return Places(root)


def decrypt(places: Places, name: str) -> Path:
    """What the operator does, on a machine with the key."""
    clear = places.root.parent / f'{name}.tar.gz'
    command = ['age', '-d', '-i', places.root.parent / 'identity', '-o', clear, places.backups / (name + SUFFIX)]
    subprocess.run(command, check=True)
    return clear
