"""Takes what is secret out of site.yaml on the boot partition: Wi-Fi passphrase, enrolment token, password hashes.

Their lines are overwritten in place by others of the same length, so FAT's table does not change: first the values
alone, then, when that is synced, the lines by comments. A cut while sectors are written leaves parts of values behind
their own names, or parts of names without values; the next run takes the rest. Checked by looking for those lines.
Flash memory may keep old copies: this removes them from the file, and no more can be promised.
"""

import os
import re

from amslpr_device.boot_partition import writable
from amslpr_device.context import Context

SECRET = re.compile(rb'^([ ]*(?:- )?)(psk|enrolment-token|sudo-password-hash)[ ]*:([^\n]*)$', re.M)


def empty(match: re.Match[bytes]) -> bytes:
    """The line with nothing in its value."""
    return match[0][: match.start(3) - match.start()] + b' ' * len(match[3])


def blank(match: re.Match[bytes]) -> bytes:
    """A comment as long as the line."""
    size = len(match[0])
    return (b'# taken out by the device' + b' ' * size)[:size]


def product_ok(ctx: Context) -> bool:
    """Whether no secret stands there."""
    try:
        return SECRET.search((ctx.boot / 'site.yaml').read_bytes()) is None
    except FileNotFoundError:
        return True


def make(ctx: Context) -> None:
    """Overwrites values, then lines."""
    path = ctx.boot / 'site.yaml'
    with writable(ctx), path.open('r+b', buffering=0) as file:
        text = file.read()
        for change in (empty, blank):
            text = SECRET.sub(change, text)
            file.seek(0)
            file.write(text)
            os.fsync(file.fileno())
