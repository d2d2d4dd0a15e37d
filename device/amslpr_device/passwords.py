"""Passwords that the device makes, and what is kept of them."""

from __future__ import annotations

import hashlib
import secrets

from amslpr_device.context import Context

# No letter that looks like another one.
LETTERS = 'abcdefghijkmnpqrstuvwxyz23456789'
# Of SHA-512. What is hashed has 100 bits by chance: more rounds would make sudo slow, and nothing safer.
ROUNDS = 10_000


def for_people(groups: int = 5) -> str:
    """Groups of four letters, twenty bits each: 100 bits by default, 260 for 13 groups."""
    return '-'.join(''.join(secrets.choice(LETTERS) for _ in range(4)) for _ in range(groups))


def crypt(ctx: Context, password: str) -> str:
    """The hash that goes into /etc/shadow, by SHA-512."""
    salt = f'rounds={ROUNDS}${secrets.token_hex(8)}'
    made = ctx.run(['openssl', 'passwd', '-6', '-salt', salt, '-stdin'], give=password.encode() + b'\n')
    return made.decode().strip()


def web_record(password: str) -> dict[str, str]:
    """Hash and salt as AMSLPR's users.json has them."""
    salt = secrets.token_hex(16)
    made = hashlib.pbkdf2_hmac('sha256', password.encode(), salt.encode(), 100_000)
    return {'password_hash': made.hex(), 'salt': salt}
