"""Makes report.json on the boot partition: fingerprints, ids, the unlock method and what it protects, versions.

Nothing in it is secret. An HMAC-SHA256 under the enrolment token that `personalize` wrote, over the line of `report`
as canonical JSON, lets the operator recognise it. Checked by comparing its content; overwritten in place, so a cut may
leave half of it, which the next run mends.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

from amslpr_device import bundle, unlock
from amslpr_device.boot_partition import put
from amslpr_device.context import Context
from amslpr_device.steps import entropy

NAME = 'report.json'
# A unit test compares this with README, threat model and what `init-site` says.
PROTECTS = {
    'passphrase': {
        'pulled card': 'closed',
        'whole box stolen': 'closed',
        'tampered with and returned': 'open: whoever held the card can change the system on it',
        'discarded card': 'closed',
    },
    'tang': {
        'pulled card': 'closed',
        'whole box stolen': 'closed, if the server cannot be reached from where the box is taken',
        'tampered with and returned': 'open: whoever held the card can change the system on it',
        'discarded card': 'closed, once the key of the server is changed or gone',
    },
    'tpm2': {
        'pulled card': 'closed',
        'whole box stolen': 'open: the board opens it by itself',
        'tampered with and returned': 'open: whoever held the card can change the system on it',
        'discarded card': 'closed',
    },
    'tpm2 with PIN': {
        'pulled card': 'closed',
        'whole box stolen': 'closed: the chip slows down whoever guesses the PIN',
        'tampered with and returned': 'open: whoever held the card can change the system on it',
        'discarded card': 'closed',
    },
    'usb-key': {
        'pulled card': 'closed, if the stick is not taken with it',
        'whole box stolen': 'open, if the stick is in it',
        'tampered with and returned': 'open: whoever held the card can change the system on it',
        'discarded card': 'closed, while nobody has the stick',
    },
    'card': {
        'pulled card': 'open: the key is on the card',
        'whole box stolen': 'open: the key is on the card',
        'tampered with and returned': 'open: whoever held the card can change the system on it',
        'discarded card': 'open: the key is on the card',
    },
}


def facts(ctx: Context) -> dict[str, Any]:
    """The report itself."""
    identity = ctx.remember('identity.json')
    slot = bundle.newest(ctx)
    image = ctx.image()
    which = 'tpm2 with PIN' if unlock.has_pin(ctx) else ctx.method
    return {
        'format': 1,
        'name': ctx.site['name'],
        'hostname': ctx.site['hostname'],
        'ssh_host_key': ctx.at('/etc/ssh/ssh_host_ed25519_key.pub').read_text().strip(),
        'ssh_fingerprint': fingerprint(ctx),
        'tls_key_sha256': hashlib.sha256(public_key_der(ctx)).hexdigest(),
        'board': identity.get('board', 'unknown'),
        'model': identity.get('model', 'unknown'),
        'card': identity.get('card', 'unknown'),
        # Of the random numbers before the first key was made.
        'entropy': ctx.remember(entropy.NAME),
        'container': ctx.remember('data.json').get('uuid', ''),
        'unlock': {'method': ctx.method, 'pin': unlock.has_pin(ctx), 'protects': PROTECTS[which]},
        'bundle': {'generation': slot[0], 'sha256': hashlib.sha256(slot[1]).hexdigest()} if slot else None,
        'image': {key: image[key] for key in ('name', 'digest') if key in image},
    }


def fingerprint(ctx: Context) -> str:
    """SHA256:… of the host key."""
    return ctx.run(['ssh-keygen', '-lf', str(ctx.at('/etc/ssh/ssh_host_ed25519_key.pub'))]).decode().split()[1]


def public_key_der(ctx: Context) -> bytes:
    """The TLS public key, over which browsers' and other pins are."""
    key = str(ctx.at('/etc/amslpr/ssl/key.pem'))
    return ctx.run(['openssl', 'pkey', '-in', key, '-pubout', '-outform', 'DER'])


def text(ctx: Context) -> bytes:
    """The file: the report, and its HMAC when the site brought a token."""
    found = facts(ctx)
    whole: dict[str, Any] = {'report': found}
    token = ctx.site.get('enrolment-token')
    if token:
        canonical = json.dumps(found, sort_keys=True, separators=(',', ':'))
        whole['hmac_sha256'] = hmac.new(token.encode(), canonical.encode(), hashlib.sha256).hexdigest()
    return (json.dumps(whole, indent=1) + '\n').encode()


def product_ok(ctx: Context) -> bool:
    """Whether the boot partition has the report of today."""
    try:
        return (ctx.boot / NAME).read_bytes().rstrip() == text(ctx).rstrip()
    except OSError:
        return False


def make(ctx: Context) -> None:
    """Writes it in place."""
    put(ctx, NAME, text(ctx))
