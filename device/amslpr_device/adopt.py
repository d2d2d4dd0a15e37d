"""Takes over the container of an earlier device, when the site file says `data: existing: adopt`.

A person gives a key that opens it: the recovery key of the earlier bundle, or its passphrase. Order: bundle with a new
recovery key, that key and the one of the unlock method as further slots, both tried, then `live` with the numbers of
the slots to drop, then those go. So whatever a cut leaves is opened by the key that the person has, or by the newest
bundle, and nothing of the data is written to. A method that asks a person keeps its slot: the passphrase that was
given, or, after the recovery key, all others until `unlock enrol`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from amslpr_device import luks, unlock
from amslpr_device.context import Context, StepError, Waiting
from amslpr_device.disk import container_uuid, describe
from amslpr_device.files import write_record

STATE = 'adopting'
# A copy of another card, whose data is adopted whatever the site file says.
CLONED = 'cloned'
NOTE = (
    'The data was taken over from an earlier device: accounts of the application kept their passwords. The one here '
    'is good only if there was no account.'
)


def slots(ctx: Context, target: Path) -> set[str]:
    """Numbers of the slots in use."""
    return set(json.loads(ctx.run(['cryptsetup', 'luksDump', '--dump-json-metadata', str(target)]))['keyslots'])


def given_key(ctx: Context, target: Path, path: Path) -> bytes:
    """What a person gave, once it is known to open the container. A wrong one is forgotten."""
    try:
        given = path.read_bytes()
    except OSError:
        hint = (
            'log in by SSH and run: amslpr-device unlock, with the recovery key of its earlier bundle (or passphrase)'
        )
        raise Waiting(f'The card holds {describe(ctx, target)}, which this device shall adopt.', hint) from None
    if luks.opens(ctx, target, given):
        return given
    path.unlink(missing_ok=True)
    raise Waiting('That key did not open the data of the earlier device.', 'try again: amslpr-device unlock')


def intend(ctx: Context, target: Path, record: Path, known: dict[str, Any]) -> str:
    """Notes which container is adopted, and gives its UUID."""
    found = container_uuid(ctx, target)
    if not found:
        hint = 'restore its header (flash saved one: cryptsetup luksHeaderRestore), or write `data: existing: erase`'
        raise StepError(f'the card holds {describe(ctx, target)}, which cannot be adopted', hint)
    if known.get('state') == CLONED:
        return found
    if known != {'uuid': found, 'generation': 0, 'state': STATE}:
        write_record(record, {'uuid': found, 'generation': 0, 'state': STATE})
    return found


def add_keys(ctx: Context, target: Path, given: bytes, recovery: bytes, waiting: Path) -> list[str]:
    """Adds the new recovery key, and the method's own; gives the slots that are to go. `waiting` holds the next key."""
    luks.add_key(ctx, target, given, recovery, luks.RANDOM_KEY)
    kept = {luks.slot_of(ctx, target, recovery)}
    if not unlock.asks_person(ctx):
        key, derivation = unlock.new_key(ctx, b'')
        luks.add_key(ctx, target, given, key, derivation)
        kept.add(luks.slot_of(ctx, target, key))
        waiting.unlink(missing_ok=True)
        return sorted(slots(ctx, target) - kept)
    if ctx.method == 'passphrase' and not unlock.RECOVERY_KEY.fullmatch(given):
        kept.add(luks.slot_of(ctx, target, given))
        return sorted(slots(ctx, target) - kept)
    # A PIN or a passphrase can only be chosen by `unlock enrol`: until then the new recovery key opens.
    waiting.write_bytes(recovery)
    return [luks.slot_of(ctx, target, given)]


def drop(ctx: Context, target: Path, record: Path, found: dict[str, Any]) -> None:
    """Takes the noted slots out, those that are still there."""
    for slot in sorted(set(found['drop']) & slots(ctx, target)):
        ctx.run(['cryptsetup', 'luksKillSlot', '--batch-mode', str(target), slot])
    write_record(record, {key: value for key, value in found.items() if key != 'drop'})
