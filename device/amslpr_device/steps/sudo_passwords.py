"""Makes the passwords that sudo asks for: the ones of the recovery bundle, or whose hash the site file brought.

Checked in /etc/shadow: somebody who changed a password keeps it. A cut leaves the old file or the new one.
"""

from amslpr_device.context import Context
from amslpr_device.files import write
from amslpr_device.steps.admins import entries


def missing(ctx: Context) -> dict[str, str]:
    """Hashes by account, for those that have no password."""
    made = ctx.remember('data.json').get('sudo', {})
    wanted = {
        admin['name']: admin.get('sudo-password-hash', made.get(admin['name'], '')) for admin in ctx.site['admins']
    }
    shadow = entries(ctx, '/etc/shadow')
    return {name: value for name, value in wanted.items() if value and not shadow[name][1].startswith('$')}


def product_ok(ctx: Context) -> bool:
    """Whether every administrator has a password."""
    return not missing(ctx)


def make(ctx: Context) -> None:
    """Sets what is missing."""
    put_hashes(ctx, missing(ctx))


def put_hashes(ctx: Context, new: dict[str, str]) -> None:
    """Puts hashes into /etc/shadow, all in one synced rename, which chpasswd does not promise."""
    path = ctx.at('/etc/shadow')
    rows = [line.split(':') for line in path.read_text().splitlines()]
    text = ''.join(':'.join([row[0], new.get(row[0], row[1]), *row[2:]]) + '\n' for row in rows)
    write(path, text, 0o640, 'root:shadow')
