"""Accounts in config/users.json."""

import hashlib
import json
import logging
import secrets
from datetime import UTC, datetime
from typing import Any

from src.utils.paths import USERS

ROUNDS = 100_000
ROLES = {
    'admin': {'description': 'Administrator with full access', 'permissions': ['view', 'edit', 'admin']},
    'operator': {'description': 'Operator with limited access', 'permissions': ['view', 'edit']},
    'viewer': {'description': 'Viewer with read-only access', 'permissions': ['view']},
}
log = logging.getLogger('AMSLPR.users')


def password_hash(password: str, salt: str) -> str:
    """PBKDF2 with SHA-256, in hex; `salt` is used as text."""
    return hashlib.pbkdf2_hmac('sha256', password.encode(), salt.encode(), ROUNDS).hex()


def _entry(name: str, password: str, role: str) -> dict[str, Any]:
    salt = secrets.token_hex(16)
    return {
        'password_hash': password_hash(password, salt),
        'salt': salt,
        'role': role,
        'name': name.title(),
        'email': '',
        'created_at': datetime.now(UTC).isoformat(),
        'last_login': None,
    }


def load() -> dict[str, Any]:
    """All accounts. Fault: without the file there is admin with the password admin."""
    if not USERS.exists():
        log.warning('Created default user admin with password admin')
        save({'users': {'admin': _entry('admin', 'admin', 'admin')}, 'roles': ROLES})
    return json.loads(USERS.read_text())


def save(data: dict[str, Any]) -> None:
    """Writes all accounts. Fault: everybody may write the file afterwards, and a crash leaves half of it."""
    USERS.parent.mkdir(parents=True, exist_ok=True)
    USERS.write_text(json.dumps(data, indent=2))
    USERS.chmod(0o666)


def log_in(name: str, password: str) -> list[str] | None:
    """The account's permissions when the password is right, and notes the time; None when it is wrong."""
    data = load()
    user = data['users'].get(name)
    if user is None or not secrets.compare_digest(user['password_hash'], password_hash(password, user['salt'])):
        log.warning('Failed login attempt for user %s', name)
        return None
    user['last_login'] = datetime.now(UTC).isoformat()
    save(data)
    return data['roles'][user['role']]['permissions']


def set_password(name: str, password: str) -> None:
    """Fault: any password is good enough."""
    data = load()
    data['users'][name].update(_entry(name, password, data['users'][name]['role']))
    save(data)
