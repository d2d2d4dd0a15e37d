"""Makes the data reachable, at every boot: container open, mounted at /data, its folders bound to their places.

Checked in the kernel's own tables. Nothing is left on the card by a cut but what the journal of ext4 mends; the mount
points on root are empty folders of root. Without its key the data stays closed, and status says why: it waits for a
person, or for a stick or a server that it asks again.
"""

from __future__ import annotations

import json
from typing import Any

from amslpr_device import adopt_board, luks, unlock
from amslpr_device.context import MAPPER, Context, StepError, Waiting
from amslpr_device.files import make_folder
from amslpr_device.steps.data import device, passphrase_file
from amslpr_device.unlock.hints import RECOVER

MOUNT = '/data'
OPTIONS = 'nodev,nosuid,noexec,noatime'
DAMAGED = (
    'its file system is damaged, not its encryption. Make a copy of the card; then, by SSH: '
    f'sudo e2fsck -fy /dev/mapper/{MAPPER}, and start again. '
    'Or take a new card and the newest backup: docs/runbooks/backup.md'
)
# A note in memory: what opened the data at this start was the recovery key.
BY_RECOVERY = 'opened-by-recovery'


def binds(ctx: Context) -> list[dict[str, Any]]:
    """Folders that live on the data partition: {path, name, mode, owner}."""
    return json.loads(ctx.at('/usr/share/amslpr/data-binds.json').read_text())


def product_ok(ctx: Context) -> bool:
    """Whether everything is mounted, and a clone has no more of the first card's identity."""
    if (ctx.state / adopt_board.MARK).exists():
        return False
    return ctx.is_mounted(MOUNT) and all(ctx.is_mounted(bind['path']) for bind in binds(ctx))


def make(ctx: Context) -> None:
    """Opens, checks, mounts and binds what is not yet."""
    if not ctx.mapped.exists():
        luks.open_container(ctx, device(ctx), key(ctx))
    passphrase_file(ctx).unlink(missing_ok=True)
    if not ctx.is_mounted(MOUNT):
        mount(ctx)
    for bind in binds(ctx):
        inside = ctx.at(MOUNT) / bind['name']
        make_folder(inside, int(bind['mode'], 8), bind['owner'])
        if not ctx.is_mounted(bind['path']):
            ctx.run(['mount', '--bind', '-o', OPTIONS, str(inside), str(ctx.at(bind['path']))])
    adopt_board.forget_twin(ctx)


def mount(ctx: Context) -> None:
    """Has the file system looked at, mended where nothing can be lost by it, and mounted."""
    try:
        # 1 means that something was mended.
        ctx.run(['e2fsck', '-p', str(ctx.mapped)], ok=(0, 1))
        ctx.run(['mount', '-t', 'ext4', '-o', OPTIONS, str(ctx.mapped), str(ctx.at(MOUNT))])
    except StepError as error:
        raise StepError(f'the data partition cannot be mounted: {error.message}', DAMAGED) from error


def key(ctx: Context) -> bytes:
    """What a person gave (passphrase or recovery key), else the machine key. A wrong one is forgotten."""
    try:
        given = passphrase_file(ctx).read_bytes()
    except OSError:
        given = b''
    if not given and unlock.asks_person(ctx):
        hint = 'log in by SSH and run: amslpr-device unlock (or use the prompt on the screen)'
        raise Waiting(f'The data partition is closed until somebody gives its {unlock.word(ctx)}.', hint)
    by_recovery = ctx.run_folder / BY_RECOVERY
    by_recovery.unlink(missing_ok=True)
    if not given:
        return machine_key(ctx, b'')
    # Whatever becomes of it, a person's secret is used once.
    passphrase_file(ctx).unlink(missing_ok=True)
    if luks.opens(ctx, device(ctx), given):
        if unlock.RECOVERY_KEY.fullmatch(given):
            by_recovery.touch()
        return given
    if unlock.has_pin(ctx) and not unlock.RECOVERY_KEY.fullmatch(given):
        return machine_key(ctx, given)
    raise Waiting(f'That {unlock.word(ctx)} did not open the data partition.', 'try again: amslpr-device unlock')


def machine_key(ctx: Context, given: bytes) -> bytes:
    """What the site's method kept; it must open the container."""
    found = unlock.machine(ctx).recall(ctx, given)
    if not luks.opens(ctx, device(ctx), found):
        raise StepError('the machine key does not open the data partition', RECOVER)
    return found
