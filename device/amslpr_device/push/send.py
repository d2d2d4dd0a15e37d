"""Copies each archive that the server does not have yet, the oldest first, and notes the copy in its record."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from amslpr_device.backup_places import SUFFIX, Places, alone
from amslpr_device.backup_records import archives, copies, note_copy, read_record
from amslpr_device.context import Context
from amslpr_device.push import sftp
from amslpr_device.push.settings import Server, key_file, put_note
from amslpr_device.push.sftp import NotCopied

# One run goes on for at most this long, less than TimeoutStartSec of its unit; the next one is not far.
WORK = 3.5 * 3600
BUSY = 'copies are being sent already, or a restore is running: try again later'
NAME = re.compile(r'amslpr-[\w-]+')


def unsent(places: Places, server: Server) -> list[str]:
    """Archives that have a record, and no copy on this server in it."""
    return [
        name
        for name in archives(places)
        if NAME.fullmatch(name)
        and read_record(places, name)
        and server.to not in [one.get('to') for one in copies(places, name)]
    ]


def everything(ctx: Context, server: Server, told: Callable[[str], None], *, ask: bool = False) -> int:
    """Sends what is unsent and returns how many; with `ask` the server is asked in any case.

    Raises NotCopied, after noting why, and BackupError when another sender or a restore is running.
    """
    places = Places(ctx.root)
    end = time.monotonic() + WORK
    with alone(places, BUSY):
        try:
            count = work(ctx, places, server, told, ask, end)
        except NotCopied as why:
            put_note(ctx, str(why))
            raise
        put_note(ctx, '')
    return count


def work(ctx: Context, places: Places, server: Server, told: Callable[[str], None], ask: bool, end: float) -> int:
    """The same without lock and note."""
    if not key_file(ctx).exists():
        # A copy of a card has lost it, and with it what tells the server that it is not the first one.
        raise NotCopied(f'this device has no key for {server.server} yet: sudo amslpr-device backup push key makes one')
    waiting = unsent(places, server)
    if not waiting and not ask:
        return 0
    count = 0
    there = sftp.sizes(sftp.session(ctx, server, ['ls -lna'], places.backups, end - time.monotonic()))
    for name in waiting:
        try:
            one(ctx, places, server, name, there, end)
        except (NotCopied, FileNotFoundError):
            # Its turn to be removed came in the middle: a newer one is there.
            if (places.backups / (name + SUFFIX)).exists():
                raise
            continue
        told(f'{name} is copied to {server.to}')
        count += 1
    return count


def one(ctx: Context, places: Places, server: Server, name: str, there: dict[str, int], end: float) -> None:
    """Sends an archive and its record, unless they are there, and compares the size that the server tells."""
    archive, record = name + SUFFIX, f'{name}.json'
    size = (places.backups / archive).stat().st_size
    commands = [] if archive in there else sftp.upload(archive)
    if archive in there and there[archive] != size:
        raise NotCopied(
            f'{server.server} has another {archive}, of {there[archive]} bytes and not {size}; nothing is overwritten: '
            'move it away there'
        )
    commands += [] if record in there else sftp.upload(record)
    found = sftp.sizes(sftp.session(ctx, server, [*commands, 'ls -lna'], places.backups, end - time.monotonic()))
    if found.get(archive) != size:
        raise NotCopied(f'{server.server} says that {archive} has {found.get(archive, 0)} bytes, not {size}')
    note_copy(places, name, server.to)
