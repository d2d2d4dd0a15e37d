"""Makes nothing: waits until the kernel's random numbers are good, before the first key. A cut leaves nothing."""

import os

from amslpr_device.context import Context

_asked: list[bool] = []


def product_ok(ctx: Context) -> bool:
    """Whether the kernel was asked since this program started."""
    return bool(_asked)


def make(ctx: Context) -> None:
    """Blocks until the kernel has seeded itself."""
    os.getrandom(32)
    _asked.append(True)
