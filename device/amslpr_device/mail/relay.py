"""The operator's relay: what the site file says, and over it what `amslpr-device mail set` wrote on the data partition.

Keys: server, port, security (tls or starttls), user, from, to (a list); `password` only on the data partition, so it
is in no image, no site file and nowhere in the open. With a CA of one's own only that CA is believed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amslpr_device.context import Context
from amslpr_device.files import write, write_record
from amslpr_device.site_file import MAIL, validate_part

PORTS = {'tls': 465, 'starttls': 587}


@dataclass(frozen=True)
class Relay:
    """Everything that is needed to hand a message over."""

    server: str
    port: int
    security: str
    sender: str
    to: tuple[str, ...]
    user: str = ''
    password: str = field(default='', repr=False)
    ca: Path | None = None


def folder(ctx: Context) -> Path:
    """Secrets, on the encrypted partition: nothing of it is there while that is closed."""
    return ctx.at('/etc/amslpr/secrets')


def record(ctx: Context) -> dict[str, Any]:
    """What was set on the device."""
    try:
        found = json.loads((folder(ctx) / 'mail.json').read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def relay(ctx: Context) -> Relay | None:
    """The relay, or None when there is none."""
    found = {**ctx.site.get('mail', {}), **record(ctx)}
    if not found.get('server') or not found.get('to'):
        return None
    security = str(found.get('security', 'tls'))
    ca = folder(ctx) / 'mail-ca.pem'
    return Relay(
        server=str(found['server']),
        port=int(found.get('port') or PORTS[security]),
        security=security,
        sender=str(found['from']),
        to=tuple(found['to']),
        user=str(found.get('user', '')),
        password=str(found.get('password', '')),
        ca=ca if ca.exists() else None,
    )


def keep(ctx: Context, text: bytes) -> list[str]:
    """Takes the keys of `mail` in the site file's YAML, one relay as a whole; what is wrong with them, or nothing.

    A password that was given stays while server and user are the same.
    """
    site, problems = validate_part(text, MAIL, 'mail')
    if problems or site is None:
        return [one.told for one in problems]
    before = record(ctx)
    same = all(before.get(key) == site.get(key) for key in ('server', 'user'))
    password = {'password': before['password']} if same and before.get('password') else {}
    write_record(folder(ctx) / 'mail.json', {**site, **password})
    return []


def keep_password(ctx: Context, password: str) -> None:
    """Keeps the password of the relay, also that of the one in the site file."""
    found = {**ctx.site.get('mail', {}), **record(ctx)}
    write_record(folder(ctx) / 'mail.json', {**found, 'password': password})


def keep_ca(ctx: Context, pem: str) -> None:
    """Believes only these certificates of authorities; raises ValueError when they are none."""
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem)
    except ssl.SSLError as error:
        raise ValueError('these are no certificates in PEM form') from error
    write(folder(ctx) / 'mail-ca.pem', pem, 0o600)
