"""What goes into a backup, all as it was at one time, and proven before it is encrypted.

Accounts, keys and settings are copied first, then SQLite copies the databases, then the files are compared with their
copies: one that changed meanwhile means that all of it is taken once more. So there was a moment at which everything
was as it is in the archive. Pictures are read last, and one that was taken or removed meanwhile is no fault: every
picture that a row of the copy names was there before that row.
"""

import hashlib
import json
import os
import shutil
import stat
import subprocess
import time
from io import BufferedReader
from pathlib import Path

from amslpr_device.backup_database import copy_database
from amslpr_device.backup_places import BackupError, Places, is_regular
from amslpr_device.steps import secrets

ATTEMPTS = 3
Members = list[tuple[str, Path]]


def take(places: Places, staging: Path) -> tuple[dict[str, dict[str, int]], Members]:
    """Rows of each table, and (name in the archive, path) of everything. Raises BackupError."""
    why = ''
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(1)
        for kind in ('database', 'files'):
            shutil.rmtree(staging / kind, ignore_errors=True)
        try:
            files = copy_files(places, staging / 'files')
        except FileNotFoundError as error:
            why = f'{error.filename} went away while it was read'
            continue
        why = fault(files)
        if why:
            continue
        tables, databases = copy_databases(places, staging / 'database')
        changed = differing(dict(files), origins(places))
        if not changed:
            return tables, [*databases, *files, *pictures(places)]
        why = f'{", ".join(changed[:3])} changed while the databases were copied'
    raise BackupError(f'{why}, {ATTEMPTS} times in a row: that is no backup')


def origins(places: Places) -> dict[str, Path]:
    """Accounts, keys and settings by their names in the archive."""
    found = {'settings/config.json': places.settings / 'config.json', 'state/config.json': places.state / 'config.json'}
    for name, folder in (('state/config', places.state / 'config'), ('tls', places.settings / 'ssl')):
        found |= {f'{name}/{path.name}': path for path in sorted(folder.glob('*'))}
    found = {name: path for name, path in found.items() if is_regular(path)}
    if 'state/config/users.json' not in found:
        raise BackupError(f'{places.state}/config/users.json is missing: a backup without accounts is of no use')
    return found


def pictures(places: Places) -> Members:
    """Pictures of plates, where they are wanted."""
    if not places.options()['images']:
        return []
    folder = places.state / 'data/images'
    return [(f'state/data/images/{path.name}', path) for path in sorted(folder.glob('*')) if is_regular(path)]


def sources(places: Places) -> list[Path]:
    """The databases."""
    found = sorted(path for path in (places.state / 'data').glob('*.db') if is_regular(path))
    if not found:
        raise BackupError(f'{places.state}/data holds no database: has the application ever run?')
    return found


def most(places: Places) -> int:
    """Bytes that a backup may need: what is copied lies there twice, in the copy and in the archive."""
    copied = [*sources(places), *origins(places).values()]
    return 2 * sum(map(size, copied)) + sum(size(path) for _, path in pictures(places))


def size(path: Path) -> int:
    """Of a file that may have gone."""
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return 0


def open_regular(path: Path) -> BufferedReader:
    """For reading. The application owns these folders and must not make root read something else."""
    source = os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), 'rb')
    if not stat.S_ISREG(os.fstat(source.fileno()).st_mode):
        source.close()
        raise BackupError(f'{path} is not a file any more')
    return source


def copy_files(places: Places, folder: Path) -> Members:
    """Copies of all files, for root alone."""
    made = []
    for name, path in origins(places).items():
        target = folder / name
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open_regular(path) as source, target.open('xb') as output:
            os.fchmod(output.fileno(), 0o600)
            shutil.copyfileobj(source, output)
        made.append((name, target))
    return made


def copy_databases(places: Places, folder: Path) -> tuple[dict[str, dict[str, int]], Members]:
    """Copies by SQLite, in a folder that the application's account can pass through."""
    folder.mkdir()
    folder.chmod(0o711)
    tables = {source.name: copy_database(source, folder / source.name) for source in sources(places)}
    return tables, [(f'database/{name}', folder / name) for name in tables]


def differing(copies: dict[str, Path], now: dict[str, Path]) -> list[str]:
    """Names that came, went, or have another content."""
    names = sorted(copies.keys() | now.keys())
    return [name for name in names if digest(copies.get(name)) != digest(now.get(name))]


def digest(path: Path | None) -> str:
    """SHA-256 of what is there now; empty for nothing."""
    try:
        if path is None:
            return ''
        with open_regular(path) as source:
            return hashlib.file_digest(source, 'sha256').hexdigest()
    except FileNotFoundError:
        return ''


def fault(files: Members) -> str:
    """What a restore could do nothing with: half a file, or one that was being written."""
    for name, path in files:
        if name == 'state/config/users.json' and not secrets.users_ok(path):
            return f'{name} holds no accounts, or is not whole'
        if name.endswith('.json') and not is_json(path):
            return f'{name} is no JSON, or is not whole'
        if name == 'state/config/crypto.key' and not secrets.key_ok(path):
            return f'{name} is no key, or is not whole'
        if name == 'tls/key.pem' and not is_key(path):
            return f'{name} is no key, or is not whole'
    return ''


def is_json(path: Path) -> bool:
    """Whether it is one whole document."""
    try:
        json.loads(path.read_text(encoding='utf-8'))
    except ValueError:
        return False
    return True


def is_key(path: Path) -> bool:
    """Whether openssl reads a private key from it."""
    command = ['openssl', 'pkey', '-in', str(path), '-passin', 'pass:', '-noout']
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0
