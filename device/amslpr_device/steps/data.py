"""Makes the encrypted data partition, after the recovery bundle that opens it is on record.

Order: intent (the container's UUID, chosen in advance), bundle into its slot, hashes of the passwords in it, container
with its keys, file system, `live` in data.json. Checked by the container's UUID once live. A cut before `live` leaves
a container that nobody has used: with our UUID it is made again, with new secrets and a new bundle. A container with
another UUID is never touched, unless the site file says `data: existing: erase`. Secrets exist in memory only, but for
the machine key, which the site's unlock method keeps: `card` in a file on root.
"""

from __future__ import annotations

import base64
import os
import secrets
import uuid
from pathlib import Path
from typing import Any

from amslpr_device import bundle, luks, unlock
from amslpr_device.context import MAPPER, Context, StepError, Waiting
from amslpr_device.disk import container_uuid, describe, find_card, header_uuids
from amslpr_device.files import write_record
from amslpr_device.passwords import crypt, for_people, web_record
from amslpr_device.site_file import recipients

RECORD = 'data.json'


def device(ctx: Context) -> Path:
    """The data partition."""
    return find_card(ctx).partition(4)


def passphrase_file(ctx: Context) -> Path:
    """Where a passphrase that a person gave waits, in memory."""
    return ctx.run_folder / 'passphrase'


def product_ok(ctx: Context) -> bool:
    """Whether the container of our record is there and was made to its end."""
    found = ctx.remember(RECORD)
    if found.get('state') != 'live':
        return False
    if container_uuid(ctx, device(ctx)) != found['uuid']:
        hint = 'if the card was copied or repaired, restore its data partition; the recovery bundle names the container'
        raise StepError(f'the data partition does not hold the container {found["uuid"]}', hint)
    return True


def make(ctx: Context) -> None:
    """Makes it from the start; whatever an earlier run left is not used."""
    target = device(ctx)
    found = ctx.remember(RECORD) or {'uuid': str(uuid.uuid4()), 'generation': 0}
    refuse_foreign(ctx, target, found['uuid'])
    given = passphrase(ctx) if unlock.asks_person(ctx) else b''
    if ctx.method in unlock.MACHINE:
        unlock.machine(ctx).ready(ctx)
    generation = max(found['generation'], (bundle.newest(ctx) or (0, b''))[0]) + 1
    write_record(ctx.state / RECORD, {'uuid': found['uuid'], 'generation': generation, 'state': 'intended'})
    secret = new_secrets(ctx, found['uuid'], generation)
    bundle.store(ctx, generation, bundle.encrypt(ctx, secret, recipients(ctx.site)))
    record = {
        'uuid': found['uuid'],
        'generation': generation,
        'sudo': {name: crypt(ctx, password) for name, password in secret['sudo_passwords'].items()},
        'web': web_record(secret['application_admin_password']),
        'proof': base64.b64encode(os.urandom(16)).decode(),
    }
    record['proof_digest'] = proof_digest(record['proof'], secret['proof_code'])
    write_record(ctx.state / RECORD, {**record, 'state': 'intended'})
    build(ctx, target, found['uuid'], secret['luks_recovery_key'].encode(), given)
    write_record(ctx.state / RECORD, {**record, 'state': 'live'})


def proof_digest(salt: str, code: str) -> str:
    """What is kept of the proof code, to recognise it when somebody gives it back."""
    import hashlib

    return hashlib.sha256(f'{salt}:{code}'.encode()).hexdigest()


def refuse_foreign(ctx: Context, target: Path, own: str) -> None:
    """Waits when there is a container that is not of this run."""
    # A cut while cryptsetup writes its headers leaves some that it cannot read, with our UUID in them.
    if header_uuids(target) <= {own}:
        return
    if ctx.site.get('data', {}).get('existing') == 'erase':
        return
    hint = 'write `data: existing: erase` into the site file to lose it, or keep this card and use another one'
    raise Waiting(f'Where the data goes, the card holds {describe(ctx, target)} of an earlier device.', hint)


def passphrase(ctx: Context) -> bytes:
    """What a person gave since power on."""
    try:
        return passphrase_file(ctx).read_bytes()
    except OSError:
        hint = 'log in by SSH and run: amslpr-device set-passphrase (or use the prompt on the screen)'
        raise Waiting(f'The data partition has no {unlock.word(ctx)} yet.', hint) from None


def new_secrets(ctx: Context, container: str, generation: int) -> dict[str, Any]:
    """What goes into the bundle."""
    return {
        'format': 1,
        'generation': generation,
        'name': ctx.site['name'],
        'hostname': ctx.site['hostname'],
        'container': container,
        'sudo_passwords': {
            admin['name']: for_people() for admin in ctx.site['admins'] if 'sudo-password-hash' not in admin
        },
        'application_admin_password': for_people(),
        'luks_recovery_key': for_people(13),
        'proof_code': secrets.token_hex(4),
    }


def build(ctx: Context, target: Path, own: str, recovery: bytes, given: bytes) -> None:
    """The container with two keys, and an empty file system in it."""
    if ctx.mapped.exists():
        ctx.run(['cryptsetup', 'close', MAPPER])
    key, derivation = unlock.new_key(ctx, given)
    luks.format_container(ctx, target, own, key, derivation)
    luks.add_key(ctx, target, key, recovery, luks.RANDOM_KEY)
    if not luks.opens(ctx, target, recovery):
        raise StepError('the recovery key does not open the new container', 'the card may be broken: use another one')
    luks.open_container(ctx, target, key)
    ctx.run(['mkfs.ext4', '-q', '-F', '-L', luks.LABEL, '-m', '1', str(ctx.mapped)])
    os.sync()
