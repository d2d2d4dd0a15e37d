"""Makes /var/lib/amslpr-device/ssh-ready, for which sshd waits: administrators, host key and network are good.

Checked by its being there: it holds nothing. A cut leaves it or not.
"""

from amslpr_device.context import Context
from amslpr_device.files import write

NAME = 'ssh-ready'


def product_ok(ctx: Context) -> bool:
    """Whether sshd may start."""
    return (ctx.state / NAME).exists()


def make(ctx: Context) -> None:
    """Lets sshd start."""
    write(ctx.state / NAME, '')
