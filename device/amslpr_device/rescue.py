"""Starts that came to no end, and what the device says when it started with SSH and nothing else (stage `rescue`)."""

from __future__ import annotations

import os
from pathlib import Path

from amslpr_device.context import Context
from amslpr_device.status import Status, tell

FOLDER = '/var/lib/amslpr-rescue'
HINT = (
    'log in by SSH and look: systemctl --failed, journalctl -b -1; when it is mended: sudo amslpr-device rescue end. '
    'After an hour with nobody logged in the device tries a normal start by itself'
)


def attempts(ctx: Context) -> int:
    """Starts in a row, this one included, that have not come to an end."""
    try:
        return int(ctx.at(f'{FOLDER}/attempts').read_text())
    except (OSError, ValueError):
        return 0


def settled(ctx: Context) -> None:
    """This start came to its end: the device is ready, or says by SSH, LED and screen what it lacks.

    A power cut later, while a person is waited for, is no failed start.
    """
    path: Path = ctx.at(f'{FOLDER}/attempts')
    if not path.exists():
        return
    path.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def say(ctx: Context) -> int:
    """Tells everywhere that the device is in rescue, and why."""
    try:
        reason = (ctx.run_folder / 'rescue-reason').read_text().strip()
    except OSError:
        reason = f'{attempts(ctx)} starts in a row came to no end.'
    tell(ctx, Status('rescue', message=f'{reason} Only network, firewall and SSH were started.', hint=HINT))
    return 0


def end(ctx: Context) -> int:
    """Starts the device anew, in the normal way."""
    settled(ctx)
    ctx.run(['systemctl', '--no-block', 'reboot'])
    return 0
