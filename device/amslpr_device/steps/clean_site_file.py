"""Takes what is secret out of site.yaml on the boot partition: Wi-Fi passphrase, enrolment token, password hashes.

Their lines are overwritten by comments of the same length, in place, so FAT's table does not change. Checked by looking
for those lines. A cut leaves some of them; the next run takes the rest. Flash memory may keep old copies: this removes
them from the file, and no more can be promised.
"""

import os
import re

from amslpr_device.boot_partition import writable
from amslpr_device.context import Context

SECRET = re.compile(rb'^([ ]*(?:- )?)(psk|enrolment-token|sudo-password-hash)[ ]*:([^\n]*)$', re.M)


def blank(match: re.Match[bytes]) -> bytes:
    """A comment as long as the line."""
    size = len(match[0])
    return (b'# taken out by the device' + b' ' * size)[:size] if size else b''


def product_ok(ctx: Context) -> bool:
    """Whether no secret stands there."""
    try:
        return SECRET.search((ctx.boot / 'site.yaml').read_bytes()) is None
    except FileNotFoundError:
        return True


def make(ctx: Context) -> None:
    """Overwrites the lines."""
    path = ctx.boot / 'site.yaml'
    text = SECRET.sub(blank, path.read_bytes())
    with writable(ctx), path.open('r+b') as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
