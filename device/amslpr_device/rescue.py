"""Starts that came to no end, and what the device says when it started with SSH and nothing else (stage `rescue`)."""

from __future__ import annotations

import os
import re
from pathlib import Path

from amslpr_device.context import Context
from amslpr_device.status import Status, current, tell
from amslpr_device.steps.ready import sshd_runs

FOLDER = '/var/lib/amslpr-rescue'
HINT = (
    'log in by SSH and look: systemctl --failed, journalctl -b -1; when it is mended: sudo amslpr-device rescue end. '
    'After an hour with nobody logged in the device tries a normal start by itself'
)
NO_SSH = (
    'nobody can log in: write the card anew, its data stays (flash --keep-data). '
    'The device tries a normal start by itself from time to time'
)
# The line of STATUS.TXT that keeps a cause over further starts.
BEFORE = 'Said before: '


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
    """Tells everywhere that the device is in rescue, why, and what was said before."""
    try:
        reason = (ctx.run_folder / 'rescue-reason').read_text().strip()
    except OSError:
        # The first boot may have come to its end meanwhile, which clears the count.
        reason = f'{attempts(ctx) or "Three"} starts in a row came to no end.'
    reached = sshd_runs(ctx)
    started = 'Only network, firewall and SSH were started.' if reached else 'SSH does not run either.'
    before = said_before(ctx)
    message = f'{reason} {started}' + (f'\n{BEFORE}{before}' if before else '')
    tell(ctx, Status('rescue', message=message, hint=HINT if reached else NO_SSH))
    return 0


def said_before(ctx: Context) -> str:
    """The last known cause: of this start, else what STATUS.TXT kept of an earlier one. Empty for none."""
    now = current(ctx)
    if now.get('state') in ('failed', 'waiting'):
        return f'{now["state"]} at {now["step"]}: {now["message"]}'.replace('\n', ' ')
    try:
        text = (ctx.boot / 'STATUS.TXT').read_text(errors='replace')
    except OSError:
        return ''
    if kept := re.search(f'^{BEFORE}(.+)$', text, re.M):
        return kept[1]
    found = re.search(r'^(?:\S+: )?(failed(?: at \S+)?)\n(.+)$', text, re.M)
    return f'{found[1]}: {found[2]}' if found else ''


def end(ctx: Context) -> int:
    """Starts the device anew, in the normal way."""
    settled(ctx)
    ctx.run(['systemctl', '--no-block', 'reboot'])
    return 0
