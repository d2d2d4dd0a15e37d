"""Messages that wait for the relay: one file each in /var/spool/amslpr/mail, on the encrypted partition.

Bounded in number and size, not in age, since a clock may be set forward by months: what is oldest goes first, and the
next message says how many were lost. While the
partition is closed there is no spool, and alerts end in the journal alone.
"""

from __future__ import annotations

import json
import os
import time
from email.message import EmailMessage
from email.utils import format_datetime, localtime
from pathlib import Path
from typing import Any

from amslpr_device.context import Context
from amslpr_device.files import write, write_record

PLACE = '/var/spool/amslpr'
MOST = 200
MOST_BYTES = 4 << 20
# One message holds at most this much text.
LONGEST = 64 << 10


def is_open(ctx: Context) -> bool:
    """Whether the place is on the data partition. A sandbox makes a mount of its own there, so devices are compared."""
    try:
        return ctx.is_mounted('/data') and ctx.at(PLACE).stat().st_dev == ctx.at('/data').stat().st_dev
    except OSError:
        return False


def waiting(ctx: Context) -> list[Path]:
    """Messages, the oldest first."""
    return sorted(path for path in (ctx.at(PLACE) / 'mail').glob('*.eml') if not path.name.startswith('.'))


def note(ctx: Context, name: str = 'mail') -> dict[str, Any]:
    """How the last attempt went to send what `name` says; times in seconds since 1970.

    {error, since}; for mail and logs also {failures, next}, and {lost} or {cursor}. Empty when all is well.
    """
    try:
        found = json.loads((ctx.at(PLACE) / f'{name}.json').read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def put_note(ctx: Context, found: dict[str, Any], name: str = 'mail') -> None:
    """Writes that down, if it is something new."""
    if found != note(ctx, name):
        write_record(ctx.at(PLACE) / f'{name}.json', found)


def add(ctx: Context, subject: str, text: str) -> Path:
    """Puts a message into the spool, and takes out what is too old or too much."""
    place = ctx.at(PLACE) / 'mail'
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    lost = trim(ctx, MOST - 1) + int(note(ctx).get('lost', 0))
    if lost:
        text = f'{text}\n\n{lost} older messages were lost, since the relay did not take them.\n'
        put_note(ctx, {**note(ctx), 'lost': 0})
    if len(text) > LONGEST:
        text = text[:LONGEST] + '\n[the rest was cut off: see the journal]\n'
    message = EmailMessage()
    message['Subject'] = ' '.join(subject.split())[:200]
    message['Date'] = format_datetime(localtime())
    name = f'{time.time_ns():020d}-{os.urandom(4).hex()}'
    host = ctx.site.get('hostname') or 'device'
    message['Message-ID'] = f'<{name}@{host}.amslpr.invalid>'
    message['Auto-Submitted'] = 'auto-generated'
    message.set_content(text)
    path = place / f'{name}.eml'
    write(path, bytes(message), 0o600)
    return path


def trim(ctx: Context, most: int = MOST) -> int:
    """Removes the oldest messages while there are too many, or too much of them; how many."""
    sizes = [(path, path.stat().st_size) for path in waiting(ctx)]
    lost = 0
    while len(sizes) - lost > most or sum(size for _, size in sizes[lost:]) > MOST_BYTES:
        sizes[lost][0].unlink(missing_ok=True)
        lost += 1
    return lost
