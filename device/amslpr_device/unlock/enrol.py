"""Enrols the unlock method again, after what kept the key was lost or exchanged: `amslpr-device unlock enrol`.

It needs the recovery key, and opens nothing by itself. Order: the method is there; the new key is kept and comes back;
it gets a slot; all slots but this one and the recovery key's go. A cut leaves the recovery key, and perhaps a slot
more, which the next run takes out.
"""

from __future__ import annotations

import fcntl

from amslpr_device import luks, unlock
from amslpr_device.context import Context, StepError
from amslpr_device.steps.data import RECORD, device
from amslpr_device.steps.data_open import BY_RECOVERY

HINT = 'it is `luks_recovery_key` in the recovery bundle: 13 groups of four letters and digits'


def check(ctx: Context, recovery: bytes) -> None:
    """Whether this is the recovery key of a container that is there. Raises StepError."""
    if ctx.remember(RECORD).get('state') != 'live':
        raise StepError('the data partition is not made yet', 'the first boot enrols by itself')
    if not unlock.RECOVERY_KEY.fullmatch(recovery):
        raise StepError('that is no recovery key', HINT)
    if not luks.opens(ctx, device(ctx), recovery):
        raise StepError('that recovery key does not open the data partition', HINT)


def enrol(ctx: Context, recovery: bytes, given: bytes) -> None:
    """Makes a new way in by the site's method; the recovery key stays. Raises StepError, also for Waiting."""
    with open(ctx.run_folder / 'lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if unlock.asks_person(ctx) and not unlock.least(ctx) <= len(given) <= unlock.MOST:
            raise StepError(f'a {unlock.word(ctx)} has {unlock.least(ctx)} to {unlock.MOST} bytes')
        check(ctx, recovery)
        target = device(ctx)
        if ctx.method in unlock.MACHINE:
            unlock.machine(ctx).ready(ctx)
        key, derivation = unlock.new_key(ctx, given)
        luks.add_key(ctx, target, recovery, key, derivation)
        luks.drop_others(ctx, target, recovery, key)
    (ctx.run_folder / BY_RECOVERY).unlink(missing_ok=True)
