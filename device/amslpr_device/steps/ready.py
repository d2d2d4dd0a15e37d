"""Makes /var/lib/amslpr-device/ready, and starts what needs the data, at every boot.

Checked by the target itself. A cut leaves the marker or not. The target waits for this program to end.
"""

from amslpr_device.context import Context
from amslpr_device.files import write

TARGET = 'amslpr-data.target'


def product_ok(ctx: Context) -> bool:
    """Whether the marker is there and the target was asked for."""
    return (ctx.state / 'ready').exists() and (not ctx.real or (ctx.run_folder / 'started').exists())


def make(ctx: Context) -> None:
    """Writes the marker once, and asks systemd for the rest."""
    if not (ctx.state / 'ready').exists():
        write(ctx.state / 'ready', '')
    if ctx.real:
        ctx.run(['systemctl', 'start', '--no-block', TARGET])
        (ctx.run_folder / 'started').touch()
