"""Makes the application's secrets on the data partition: Flask's key, the Fernet key, and the first web account.

Checked by their form. A cut leaves none or whole ones. A good one is never made again; a file of accounts that cannot
be read is put aside, not lost.
"""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
from datetime import UTC, datetime
from pathlib import Path

from amslpr_device.context import Context
from amslpr_device.files import make_folder, write

# As AMSLPR writes them: it looks for `permissions` at every log-in, and answers 500 without.
ROLES = {
    'admin': {'description': 'Administrator with full access', 'permissions': ['view', 'edit', 'admin']},
    'operator': {'description': 'Operator with limited access', 'permissions': ['view', 'edit']},
    'viewer': {'description': 'Viewer with read-only access', 'permissions': ['view']},
}
OWNER = 'amslpr:amslpr'


def places(ctx: Context) -> tuple[Path, Path, Path]:
    """Environment of the service, Fernet key, accounts."""
    config = ctx.at('/var/lib/amslpr/config')
    return ctx.at('/etc/amslpr/secrets/app.env'), config / 'crypto.key', config / 'users.json'


def env_ok(path: Path) -> bool:
    """Whether Flask has a key."""
    try:
        return re.search(r'^FLASK_SECRET_KEY=\S{43,}$', path.read_text(), re.M) is not None
    except OSError:
        return False


def key_ok(path: Path) -> bool:
    """Whether there is a Fernet key: 32 bytes in base64."""
    try:
        return len(base64.urlsafe_b64decode(path.read_bytes().strip())) == 32
    except (OSError, ValueError):
        return False


def users_ok(path: Path) -> bool:
    """Whether there is an account at all. The file is the application's from then on."""
    try:
        found = json.loads(path.read_text())
        return isinstance(found, dict) and bool(found.get('users'))
    except (OSError, ValueError):
        return False


def product_ok(ctx: Context) -> bool:
    """Whether all three are good."""
    env, key, users = places(ctx)
    return env_ok(env) and key_ok(key) and users_ok(users)


def make(ctx: Context) -> None:
    """Makes what is missing."""
    env, key, users = places(ctx)
    make_folder(users.parent, 0o700, OWNER)
    if not env_ok(env):
        write(env, f'FLASK_SECRET_KEY={secrets.token_urlsafe(48)}\n', 0o600)
    if not key_ok(key):
        write(key, base64.urlsafe_b64encode(os.urandom(32)), 0o600, OWNER)
    if not users_ok(users):
        if users.exists():
            users.rename(users.with_name('users.json.damaged'))
        # The wrapper's copy from before the application's last change.
        last = users.with_name('users.json.last')
        text = last.read_text() if users_ok(last) else accounts(ctx.remember('data.json')['web'])
        write(users, text, 0o600, OWNER)


def accounts(password: dict[str, str]) -> str:
    """users.json with one administrator; `password` is its hash and salt."""
    account = {
        **password,
        'role': 'admin',
        'name': 'Administrator',
        'email': '',
        'created_at': datetime.now(UTC).isoformat(timespec='seconds'),
        'last_login': None,
    }
    return json.dumps({'users': {'admin': account}, 'roles': ROLES}, indent=2) + '\n'
