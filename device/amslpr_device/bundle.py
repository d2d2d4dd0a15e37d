"""The recovery bundle: what a person needs to get back in, encrypted by age to the operator's keys.

It lies in two preallocated slots on the boot partition, bundle.0 and bundle.1. A slot is one line
`amslpr-bundle 1 generation=N size=BYTES sha256=HEX`, then that many bytes of armoured age, then line ends. The slot of
the older generation is overwritten, so that a cut leaves the other one; a slot counts only when its digest fits.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from amslpr_device.boot_partition import put
from amslpr_device.context import Context, StepError

SLOTS = ('bundle.0', 'bundle.1')
HEADER = re.compile(rb'amslpr-bundle 1 generation=(\d{1,9}) size=(\d{1,6}) sha256=([0-9a-f]{64})\n')
STANZA = {'age1': 'X25519', 'ssh-ed25519': 'ssh-ed25519', 'ssh-rsa': 'ssh-rsa'}


def encrypt(ctx: Context, secret: dict[str, Any], recipients: list[str]) -> bytes:
    """Armoured age for all recipients. Its stanzas are counted: age leaves out unusable keys with a mere warning."""
    text = (json.dumps(secret, indent=1, sort_keys=True) + '\n').encode()
    arguments = [part for one in recipients for part in ('-r', one)]
    binary = ctx.run(['age', *arguments], give=text)
    stanzas = [
        line.split(b' ')[1].decode() for line in binary.split(b'\n---', 1)[0].split(b'\n') if line.startswith(b'-> ')
    ]
    wanted = [next(kind for start, kind in STANZA.items() if one.startswith(start)) for one in recipients]
    if sorted(stanza for stanza in stanzas if stanza in STANZA.values()) != sorted(wanted):
        hint = 'mark the admin `recovery: false`, or give another key'
        raise StepError(f'age encrypted to {len(stanzas)} of {len(recipients)} keys', hint)
    return armour(binary)


def armour(binary: bytes) -> bytes:
    """The text form, by age's own format: base64 in lines of 64."""
    import base64

    text = base64.b64encode(binary).decode()
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return '\n'.join(['-----BEGIN AGE ENCRYPTED FILE-----', *lines, '-----END AGE ENCRYPTED FILE-----', '']).encode()


def read_slot(raw: bytes) -> tuple[int, bytes] | None:
    """Generation and content of a slot; None when it holds no whole bundle."""
    match = HEADER.match(raw)
    if match is None:
        return None
    body = raw[match.end() : match.end() + int(match[2])]
    if len(body) != int(match[2]) or hashlib.sha256(body).hexdigest().encode() != match[3]:
        return None
    return int(match[1]), body


def slots(ctx: Context) -> dict[str, tuple[int, bytes]]:
    """Slots with a whole bundle."""
    found: dict[str, tuple[int, bytes]] = {}
    for name in SLOTS:
        try:
            slot = read_slot((ctx.boot / name).read_bytes())
        except OSError:
            continue
        if slot is not None:
            found[name] = slot
    return found


def newest(ctx: Context) -> tuple[int, bytes] | None:
    """The bundle that counts."""
    return max(slots(ctx).values(), default=None)


def store(ctx: Context, generation: int, body: bytes) -> None:
    """Writes and syncs a bundle into the older slot."""
    found = slots(ctx)
    target = min(SLOTS, key=lambda name: found[name][0] if name in found else -1)
    digest = hashlib.sha256(body).hexdigest()
    put(ctx, target, f'amslpr-bundle 1 generation={generation} size={len(body)} sha256={digest}\n'.encode() + body)
    if newest(ctx) != (generation, body):
        raise StepError(
            'the recovery bundle did not come back as it was written', 'the card may be broken: use another one'
        )
