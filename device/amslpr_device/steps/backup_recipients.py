"""Makes /etc/amslpr/secrets/backup-recipients: whom backups are encrypted to, the same keys as the recovery bundle.

Checked by its holding a key: people may add theirs later. A cut leaves none or a whole file.
"""

from amslpr_device.context import Context
from amslpr_device.files import write
from amslpr_device.site_file import recipients

PATH = '/etc/amslpr/secrets/backup-recipients'


def product_ok(ctx: Context) -> bool:
    """Whether the file names somebody."""
    try:
        return any(line.startswith(('age1', 'ssh-')) for line in ctx.at(PATH).read_text().splitlines())
    except OSError:
        return False


def make(ctx: Context) -> None:
    """Writes it."""
    write(ctx.at(PATH), ''.join(f'{one}\n' for one in recipients(ctx.site)), 0o600)
