"""Makes the time plausible: never before the image was built or the time was last known. Boards have no clock.

Checked by asking for the time. A cut leaves nothing: the next boot does it again.
"""

import time
from contextlib import suppress

from amslpr_device.context import Context


def floor(ctx: Context) -> float:
    """The latest time that is known to have been, in seconds since 1970.

    By those who know it: the image, and timesyncd, whose file goes back when servers say that the clock was wrong. What
    this device wrote by a clock that may be ten years ahead would keep it there at each start.
    """
    known = [0.0]
    for path in ('/usr/share/amslpr/image.json', '/var/lib/systemd/timesync/clock'):
        with suppress(OSError):
            known.append(ctx.at(path).stat().st_mtime)
    return max(known)


def product_ok(ctx: Context) -> bool:
    """Whether it is at least that late."""
    return time.time() >= floor(ctx)


def make(ctx: Context) -> None:
    """Sets the clock forward; timesyncd corrects it when a network is there."""
    time.clock_settime(time.CLOCK_REALTIME, floor(ctx) + 1)
