"""The few writes to the boot partition: read-only but for a moment, preallocated files overwritten in place."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from amslpr_device.context import Context, StepError
from amslpr_device.files import overwrite

SWITCH = '/usr/lib/amslpr/boot-writable'


@contextmanager
def writable(ctx: Context) -> Iterator[None]:
    """The boot partition can be written; afterwards it is synced and read-only again, unless packages are installed."""
    if not ctx.real:
        yield
        return
    if not ctx.boot.is_mount():
        raise StepError('the boot partition is not mounted', 'check the card: the first partition cannot be read')
    ctx.run([SWITCH, 'begin'])
    try:
        yield
    finally:
        subprocess.run([SWITCH, 'end'], check=False)


def put(ctx: Context, name: str, data: bytes) -> None:
    """Writes one of the preallocated files; nothing happens when it says so already. Raises StepError."""
    path = ctx.boot / name
    try:
        size = path.stat().st_size
        if len(data) > size:
            raise StepError(
                f'{name} on the boot partition has {size} bytes, {len(data)} are needed', 'build the image again'
            )
        if path.read_bytes() == data + b'\n' * (size - len(data)):
            return
        with writable(ctx):
            overwrite(path, data)
    except OSError as error:
        hint = 'the boot partition is damaged or of another image'
        raise StepError(f'{name} on the boot partition cannot be written: {error.strerror}', hint) from error
