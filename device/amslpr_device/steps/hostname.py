"""Makes /etc/hostname, the line of /etc/hosts that names this device, and /etc/localtime, from the site.

Checked by reading them back. A cut leaves old or new files, whole; the kernel's name is set at every boot.
"""

import os
import socket

from amslpr_device.context import Context
from amslpr_device.files import holds, sync_folder, write


def hosts(ctx: Context) -> str:
    """Text of /etc/hosts with our name in it."""
    try:
        lines = ctx.at('/etc/hosts').read_text().splitlines()
    except OSError:
        lines = ['127.0.0.1 localhost', '::1 localhost ip6-localhost ip6-loopback']
    kept = [line for line in lines if not line.startswith('127.0.1.1')]
    return '\n'.join([*kept, f'127.0.1.1 {ctx.site["hostname"]}', ''])


def zone(ctx: Context) -> str:
    """Target of /etc/localtime."""
    return f'/usr/share/zoneinfo/{ctx.site.get("timezone", "UTC")}'


def product_ok(ctx: Context) -> bool:
    """Whether files and kernel have the site's name and time zone."""
    localtime = ctx.at('/etc/localtime')
    return (
        holds(ctx.at('/etc/hostname'), f'{ctx.site["hostname"]}\n', 0o644)
        and holds(ctx.at('/etc/hosts'), hosts(ctx), 0o644)
        and localtime.is_symlink()
        and str(localtime.readlink()) == zone(ctx)
        and (not ctx.real or socket.gethostname() == ctx.site['hostname'])
    )


def make(ctx: Context) -> None:
    """Writes them and tells the kernel."""
    write(ctx.at('/etc/hostname'), f'{ctx.site["hostname"]}\n')
    write(ctx.at('/etc/hosts'), hosts(ctx))
    unfinished = ctx.at('/etc/.localtime.new')
    unfinished.unlink(missing_ok=True)
    unfinished.symlink_to(zone(ctx))
    os.rename(unfinished, ctx.at('/etc/localtime'))
    sync_folder(ctx.at('/etc'))
    if ctx.real:
        socket.sethostname(ctx.site['hostname'])
