"""Makes /var/lib/amslpr-device/ready, and starts what needs the data, at every boot.

Checked by the target itself. A cut leaves the marker or not. The target waits for this program to end. A device that
nobody can reach is not ready: what sshd says about its configuration is shown, after everything else was started.
"""

from amslpr_device.context import Context, StepError
from amslpr_device.files import write

TARGET = 'amslpr-data.target'


def product_ok(ctx: Context) -> bool:
    """Whether the marker is there and the target was asked for."""
    if not (ctx.state / 'ready').exists():
        return False
    return not ctx.real or ((ctx.run_folder / 'started').exists() and sshd_runs(ctx))


def sshd_runs(ctx: Context) -> bool:
    """Whether systemd has a running sshd."""
    return ctx.succeeds(['systemctl', '--quiet', 'is-active', 'ssh.service'])


def make(ctx: Context) -> None:
    """Writes the marker once, and asks systemd for the rest."""
    if not (ctx.state / 'ready').exists():
        write(ctx.state / 'ready', '')
    if ctx.real:
        ctx.run(['systemctl', 'start', '--no-block', TARGET])
        (ctx.run_folder / 'started').touch()
        if not sshd_runs(ctx):
            refuse(ctx)


def refuse(ctx: Context) -> None:
    """Says why nobody comes in, in sshd's own words."""
    hint = 'put a backup of /etc/ssh in place, or write the card anew: its data stays (flash --keep-data)'
    try:
        ctx.run(['/usr/sbin/sshd', '-t'])
    except StepError as error:
        raise StepError(f'SSH is not reachable: {error.message}', hint) from error
    raise StepError('SSH is not reachable: sshd stopped', 'restart the device; the journal has more')
