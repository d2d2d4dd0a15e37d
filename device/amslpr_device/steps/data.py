"""Makes the encrypted data partition, after the recovery bundle that opens it is on record.

Order: intent (the container's UUID, chosen in advance), bundle into its slot, hashes of the passwords in it, container
with its keys, file system, `live` in data.json. Checked by the container's UUID once live. A cut before `live` leaves
a container that nobody has used: with our UUID it is made again, with new secrets and a new bundle. A container with
another UUID is never touched, unless the site file says `data: existing: erase`; `adopt` takes it over as it is, once
somebody gave a key of it (`amslpr_device.adopt`). Secrets exist in memory only, but for
the machine key, which the site's unlock method keeps: `card` in a file on root.
"""

from __future__ import annotations

import base64
import os
import secrets
import uuid
from pathlib import Path
from typing import Any

from amslpr_device import adopt, bundle, luks, unlock
from amslpr_device.context import MAPPER, Context, StepError, Waiting
from amslpr_device.disk import container_uuid, describe, find_card, header_uuids
from amslpr_device.files import write_record
from amslpr_device.passwords import crypt, for_people, web_record
from amslpr_device.reprovision import LEFT
from amslpr_device.site_file import recipients
from amslpr_device.used_card import DECIDE

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
    if found.get('state') != 'live' or 'drop' in found:
        return False
    if container_uuid(ctx, device(ctx)) != found['uuid']:
        hint = 'if the card was copied or repaired, restore its data partition; the recovery bundle names the container'
        raise StepError(f'the data partition does not hold the container {found["uuid"]}', hint)
    return True


def make(ctx: Context) -> None:
    """Makes it from the start; whatever an earlier run left is not used. Or adopts what an earlier device left."""
    target = device(ctx)
    found = ctx.remember(RECORD)
    if found.get('state') == 'live':
        adopt.drop(ctx, target, ctx.state / RECORD, found)
        return
    own = '' if found.get('state') in (adopt.STATE, LEFT) else found.get('uuid', '')
    if found.get('state') == adopt.CLONED or (existing(ctx) == 'adopt' and header_uuids(target) - {own}):
        take_over(ctx, target)
        return
    own = own or str(uuid.uuid4())
    refuse_foreign(ctx, target, own)
    given = passphrase(ctx) if unlock.asks_person(ctx) else b''
    if ctx.method in unlock.MACHINE:
        unlock.machine(ctx).ready(ctx)
    generation = next_generation(ctx, found)
    write_record(ctx.state / RECORD, {'uuid': own, 'generation': generation, 'state': 'intended'})
    secret = new_secrets(ctx, own, generation)
    record = put_on_record(ctx, secret)
    write_record(ctx.state / RECORD, {**record, 'state': 'intended'})
    build(ctx, target, own, secret['luks_recovery_key'].encode(), given)
    write_record(ctx.state / RECORD, {**record, 'state': 'live'})


def existing(ctx: Context) -> str:
    """What the site wants with the data of an earlier device: keep, erase or adopt."""
    return str(ctx.site.get('data', {}).get('existing', 'keep'))


def next_generation(ctx: Context, found: dict[str, Any]) -> int:
    """A number above that of every bundle so far."""
    return max(int(found.get('generation', 0)), (bundle.newest(ctx) or (0, b''))[0]) + 1


def put_on_record(ctx: Context, secret: dict[str, Any]) -> dict[str, Any]:
    """Puts the bundle into its slot, and gives what is remembered of its secrets: hashes."""
    bundle.store(ctx, secret['generation'], bundle.encrypt(ctx, secret, recipients(ctx.site)))
    proof = base64.b64encode(os.urandom(16)).decode()
    return {
        'uuid': secret['container'],
        'generation': secret['generation'],
        'sudo': {name: crypt(ctx, password) for name, password in secret['sudo_passwords'].items()},
        'web': web_record(secret['application_admin_password']),
        'proof': proof,
        'proof_digest': proof_digest(proof, secret['proof_code']),
    }


def take_over(ctx: Context, target: Path) -> None:
    """Adopts the container, with new keys and a bundle of this device."""
    path = ctx.state / RECORD
    container = adopt.intend(ctx, target, path, ctx.remember(RECORD))
    given = adopt.given_key(ctx, target, passphrase_file(ctx))
    if ctx.method in unlock.MACHINE:
        unlock.machine(ctx).ready(ctx)
    secret = {**new_secrets(ctx, container, next_generation(ctx, {})), 'note': adopt.NOTE}
    record = put_on_record(ctx, secret)
    goes = adopt.add_keys(ctx, target, given, secret['luks_recovery_key'].encode(), passphrase_file(ctx))
    found = {**record, 'state': 'live', 'adopted': True, 'drop': goes}
    write_record(path, found)
    adopt.drop(ctx, target, path, found)


def proof_digest(salt: str, code: str) -> str:
    """What is kept of the proof code, to recognise it when somebody gives it back."""
    import hashlib

    return hashlib.sha256(f'{salt}:{code}'.encode()).hexdigest()


def refuse_foreign(ctx: Context, target: Path, own: str) -> None:
    """Waits when there is a container that is not of this run."""
    # A cut while cryptsetup writes its headers leaves some that it cannot read, with our UUID in them.
    if header_uuids(target) <= {own}:
        return
    if existing(ctx) == 'erase':
        return
    raise Waiting(f'Where the data goes, the card holds {describe(ctx, target)} of an earlier device.', DECIDE)


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


def make_file_system(ctx: Context) -> None:
    """An empty ext4 in the open container, of which e2fsck can mend what is lost.

    Without orphan file: e2fsck 1.47 puts a lost one into blocks that do not exist, and the kernel then refuses the file
    system.
    """
    ctx.run(['mkfs.ext4', '-q', '-F', '-O', '^orphan_file', '-L', luks.LABEL, '-m', '1', str(ctx.mapped)])


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
    make_file_system(ctx)
    os.sync()
