"""What the commands of administrators have in common: they need sudo, the site, and often the encrypted partition."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from amslpr_device.context import Context
from amslpr_device.mail import spool
from amslpr_device.site_file import Fields, validate_part
from amslpr_device.steps import site

CLOSED = 'the data partition is closed, and the spool is on it: amslpr-device unlock'
MOST_BYTES = 65_536


def lacks_sudo(ctx: Context, command: str) -> bool:
    """Whether somebody has to ask again with sudo, which they are told; else the site is known afterwards."""
    if ctx.real and os.geteuid() != 0:
        print(f'sudo is needed: sudo amslpr-device {command}', file=sys.stderr)
        return True
    site.recall(ctx)
    return False


def answer(ctx: Context, name: str, about: str, verbs: Mapping[str, Callable[[Context], int]], rest: list[str]) -> int:
    """Does the one verb in `rest` when the encrypted partition is open; returns the exit code."""
    if len(rest) != 1 or rest[0] not in verbs:
        print(about, file=sys.stderr)
        return 2
    if lacks_sudo(ctx, f'{name} {rest[0]}'):
        return 1
    if not spool.is_open(ctx):
        print(CLOSED, file=sys.stderr)
        # A unit that finds no spool has nothing to do.
        return 0 if rest[0] == 'send' else 1
    return verbs[rest[0]](ctx)


def given(fields: Fields, part: str) -> dict[str, Any] | None:
    """Settings from standard input, as `part` of a site file has them; None after telling everything that is wrong."""
    found, problems = validate_part(sys.stdin.buffer.read(MOST_BYTES), fields, part)
    for one in problems:
        print(f'standard input: {one.told}', file=sys.stderr)
    if problems or found is None:
        print('nothing was changed', file=sys.stderr)
        return None
    return found
