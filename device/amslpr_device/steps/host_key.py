"""Makes the SSH host key, ed25519, in /etc/ssh: under another name first, synced, then renamed, the private part last.

Checked by reading both parts with ssh-keygen and comparing them, never by their being there: a zero-length key would
lock everybody out. A cut leaves no key, or both. A good key is never made again. It stays on root, so that a device
whose data does not open can be reached.
"""

from __future__ import annotations

import os
from pathlib import Path

from amslpr_device.context import Context
from amslpr_device.files import move, sync_folder

KEY = '/etc/ssh/ssh_host_ed25519_key'


def public(ctx: Context, private: Path) -> str:
    """`type base64` of a private key, empty when it cannot be read."""
    if not private.is_file() or not ctx.succeeds(['ssh-keygen', '-y', '-P', '', '-f', str(private)]):
        return ''
    return ' '.join(ctx.run(['ssh-keygen', '-y', '-P', '', '-f', str(private)]).decode().split()[:2])


def product_ok(ctx: Context) -> bool:
    """Whether the private key is good and its public part belongs to it."""
    private, shown = ctx.at(KEY), ctx.at(f'{KEY}.pub')
    try:
        told = ' '.join(shown.read_text().split()[:2])
        return private.stat().st_mode & 0o777 == 0o600 and told != '' and told == public(ctx, private)
    except OSError:
        return False


def make(ctx: Context) -> None:
    """Makes a key, or only the public part when the private one is good."""
    private, shown = ctx.at(KEY), ctx.at(f'{KEY}.pub')
    new, new_public = private.with_name('.host_key.new'), private.with_name('.host_key.new.pub')
    new.unlink(missing_ok=True)
    new_public.unlink(missing_ok=True)
    if private.is_file():
        # ssh-keygen refuses a key that others could read, and a published key must not change for that.
        private.chmod(0o600)
    found = public(ctx, private)
    if found:
        new_public.write_text(f'{found} {ctx.site["hostname"]}\n')
    else:
        ctx.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', ctx.site['hostname'], '-f', str(new)])
        sync_file(new)
    new_public.chmod(0o644)
    sync_file(new_public)
    move(new_public, shown)
    if not found:
        move(new, private)
    sync_folder(private.parent)


def sync_file(path: Path) -> None:
    """Makes the content of a file that a program wrote last."""
    with path.open('rb') as file:
        os.fsync(file.fileno())
