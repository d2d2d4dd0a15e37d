"""Makes the passwords that sudo asks for: the ones of the recovery bundle, or whose hash the site file brought.

Checked in /etc/shadow: somebody who changed a password keeps it. A cut leaves the old file or the new one.
"""

from amslpr_device.context import Context
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
    """Sets the hashes; they go by standard input."""
    lines = ''.join(f'{name}:{value}\n' for name, value in missing(ctx).items())
    ctx.run(['chpasswd', '-e', *([] if ctx.real else ['--prefix', str(ctx.root)])], give=lines.encode())
