"""sudo amslpr-device adopt-board [--clone]: the card is in another board, and that is meant.

After a repair the board's serial number is noted, and all goes on. A clone gets an identity of its own: SSH host key,
machine id, TLS key and the application's session key are made again, and its data is adopted with the recovery key, so
that recovery key, unlock key and passwords are its own too. With the keys for servers of the operator it would
pass for the first one there: they are taken out, and it asks for others. The key that the data is encrypted with
(the LUKS volume key) stays that of the first card. The marks are written before anything is taken away; doing it twice
does no harm.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable

from amslpr_device import adopt, luks
from amslpr_device.context import Context
from amslpr_device.files import sync_folder, write, write_record
from amslpr_device.steps import board, data, host_key, identity, site
from amslpr_device.steps.admins import entries
from amslpr_device.steps.sudo_passwords import put_hashes

# While it is there, what the data holds of the first card's identity is still to be taken out.
MARK = 'clone'
# Keys of this one device on the data partition: two that the first start makes again, one that `backup push key` does,
# one that the operator gives, and the account with a public authority that certbot opens anew.
IN_DATA = (
    '/etc/amslpr/ssl/key.pem',
    '/etc/amslpr/ssl/cert.pem',
    '/etc/amslpr/ssl/acme',
    '/etc/amslpr/secrets/app.env',
    '/etc/amslpr/secrets/backup-push-key',
    '/etc/amslpr/secrets/logs-client.pem',
)
# NetworkManager makes its key again, from which addresses and DHCP identifiers come.
ON_ROOT = (host_key.KEY, f'{host_key.KEY}.pub', '/var/lib/NetworkManager/secret_key')


def main(ctx: Context, clone: bool, ask: Callable[[], str]) -> int:
    """Returns the exit code. `ask` gives the recovery key of the first card."""
    if os.geteuid() != 0:
        print('sudo is needed: sudo amslpr-device adopt-board', file=sys.stderr)
        return 1
    if not site.recall(ctx) or board.product_ok(ctx):
        print('the card is in the board that it was set up in: there is nothing to adopt', file=sys.stderr)
        return 1
    if not clone:
        repair(ctx)
        print('this board is the one of the card from now on')
        if ctx.real:
            subprocess.run(['systemctl', 'reset-failed', 'amslpr-provision.service'], capture_output=True, check=False)
            subprocess.run(['systemctl', 'restart', 'amslpr-provision.service'], capture_output=True, check=False)
        return 0
    if not luks.opens(ctx, data.device(ctx), ask().strip().encode()):
        print('that recovery key does not open the data: nothing was changed', file=sys.stderr)
        return 1
    renew(ctx)
    print('The device starts again, with a new SSH host key. Then: amslpr-device unlock, with the same recovery key;')
    print('its new passwords and recovery key are in its new bundle.', flush=True)
    if ctx.real:
        ctx.run(['systemctl', '--no-block', 'reboot'])
    return 0


def repair(ctx: Context) -> None:
    """Notes the board."""
    write_record(ctx.state / identity.NAME, identity.facts(ctx))


def renew(ctx: Context) -> None:
    """Takes the first card's identity from root; the board is noted last, so that a cut leaves the guard up."""
    found = ctx.remember(data.RECORD)
    write(ctx.state / MARK, '')
    write_record(
        ctx.state / data.RECORD, {'uuid': found['uuid'], 'generation': found['generation'], 'state': adopt.CLONED}
    )
    write(ctx.at('/etc/machine-id'), 'uninitialized\n', 0o444)
    take_out(ctx, ON_ROOT)
    shadow = entries(ctx, '/etc/shadow')
    put_hashes(ctx, {admin['name']: '*' for admin in ctx.site['admins'] if admin['name'] in shadow})
    repair(ctx)


def forget_twin(ctx: Context) -> None:
    """Takes the keys of the first device from the opened data."""
    if not (ctx.state / MARK).exists():
        return
    take_out(ctx, IN_DATA)
    (ctx.state / MARK).unlink()
    sync_folder(ctx.state)


def take_out(ctx: Context, paths: Iterable[str]) -> None:
    """Removes files and folders for good; those that are not there have nothing to lose."""
    for path in map(ctx.at, paths):
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        if path.parent.is_dir():
            sync_folder(path.parent)
