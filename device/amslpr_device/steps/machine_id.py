"""Makes /etc/machine-id last: systemd made one in memory at power on and would write it only at the end of the boot.

Checked by its 32 digits on the disk itself, not on the memory that covers it. A cut leaves `uninitialized` or the id.
"""

import re

from amslpr_device.context import Context


def product_ok(ctx: Context) -> bool:
    """Whether the id is on the disk."""
    path = ctx.at('/etc/machine-id')
    try:
        return re.fullmatch(r'[0-9a-f]{32}\n', path.read_text()) is not None and not ctx.is_mounted('/etc/machine-id')
    except OSError:
        return False


def make(ctx: Context) -> None:
    """Lets systemd write and sync it; where it has none in memory, makes one."""
    if ctx.real and ctx.is_mounted('/etc/machine-id'):
        ctx.run(['systemd-machine-id-setup', '--commit'])
    else:
        ctx.run(['systemd-machine-id-setup', f'--root={ctx.root}'])
