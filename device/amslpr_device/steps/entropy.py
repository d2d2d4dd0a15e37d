"""Makes /var/lib/amslpr-device/entropy.json once the kernel's random numbers are good, before the first key.

Waits at every start; the record, for the report, is of the first. A cut leaves nothing or the whole record.
"""

import os

from amslpr_device.context import Context
from amslpr_device.files import write_record
from amslpr_device.steps.identity import read

NAME = 'entropy.json'
SOURCE = '/sys/class/misc/hw_random/rng_current'

_asked: list[bool] = []


def product_ok(ctx: Context) -> bool:
    """Whether the kernel was asked since this program started, and once before the first key."""
    return bool(_asked) and bool(ctx.remember(NAME))


def make(ctx: Context) -> None:
    """Blocks until the kernel has seeded itself, and notes the board's own source; its driver may load later."""
    os.getrandom(32)
    _asked.append(True)
    if not ctx.remember(NAME):
        write_record(ctx.state / NAME, {'generator': 'initialised', 'source': read(ctx.at(SOURCE))})
