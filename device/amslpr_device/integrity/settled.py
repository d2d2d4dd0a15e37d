"""Half of an upgrade is neither what was nor what will be: a look waits until no package is being installed."""

from __future__ import annotations

import fcntl
import os
import struct
import time

from amslpr_device.context import Context, StepError

LOCK = '/var/lib/dpkg/lock-frontend'
STATUS = '/var/lib/dpkg/status'
PATIENCE = 90 * 60
PAUSE = 10
# struct flock of 64-bit Linux: type, whence, start, length, process.
FLOCK = 'hhqqi4x'


def busy(ctx: Context) -> bool:
    """Whether apt, or what works like it, holds its lock. Only asks for it: to take it could turn apt away."""
    try:
        file = os.open(ctx.at(LOCK), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        asked = struct.pack(FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        return struct.unpack(FLOCK, fcntl.fcntl(file, fcntl.F_GETLK, asked))[0] != fcntl.F_UNLCK
    finally:
        os.close(file)


def mark(ctx: Context) -> int:
    """Changes with every package that is installed."""
    try:
        return ctx.at(STATUS).stat().st_mtime_ns
    except OSError:
        return 0


def wait(ctx: Context) -> None:
    """Raises StepError when packages are still being installed after an hour and a half."""
    end = time.monotonic() + PATIENCE
    while busy(ctx):
        if time.monotonic() > end:
            raise StepError('packages are still being installed', 'the next look is tomorrow; see: ps -C apt,dpkg')
        time.sleep(PAUSE)
