"""The unlock methods that keep a random machine key somewhere: on the card, on a stick, in a TPM, behind a tang server.

Each is a module with the same three functions. `given` is the PIN of a person, or nothing.

ready(ctx)             raises Waiting when no key can be kept now, with the cause and what to do
keep(ctx, key, given)  keeps a new machine key, in place of an older one; a cut leaves the older one or the new one
recall(ctx, given)     gives the machine key, or raises Waiting (a person, or time, has to do something) or StepError

`passphrase` is none of these: its key is in somebody's head.
"""

from __future__ import annotations

import os
import re
from types import ModuleType

from amslpr_device import luks
from amslpr_device.context import Context, StepError
from amslpr_device.unlock import card, tang, tpm2, usb_key

MACHINE: dict[str, ModuleType] = {'card': card, 'usb-key': usb_key, 'tpm2': tpm2, 'tang': tang}
LEAST_PASSPHRASE = 12
LEAST_PIN = 6
MOST = 512
# How passwords.for_people(13) looks. Nobody's passphrase is taken for it: it has to open the container as well.
RECOVERY_KEY = re.compile(rb'([a-z2-9]{4}-){12}[a-z2-9]{4}')


def asks_person(ctx: Context) -> bool:
    """Whether somebody has to type something at every start."""
    return ctx.method == 'passphrase' or has_pin(ctx)


def has_pin(ctx: Context) -> bool:
    """Whether the TPM wants a PIN."""
    return ctx.method == 'tpm2' and bool(ctx.site['unlock'].get('pin'))


def word(ctx: Context) -> str:
    """What the person's secret is called."""
    return 'PIN' if has_pin(ctx) else 'passphrase'


def least(ctx: Context) -> int:
    """Bytes that a new secret of a person has at least. A TPM slows guesses down; nothing does for a passphrase."""
    return LEAST_PIN if has_pin(ctx) else LEAST_PASSPHRASE


def machine(ctx: Context) -> ModuleType:
    """The module of the site's method."""
    return MACHINE[ctx.method]


def new_key(ctx: Context, given: bytes) -> tuple[bytes, list[str]]:
    """A key for a slot of the container and its derivation: what a person gave, or a random one that is kept."""
    if ctx.method == 'passphrase':
        return given, luks.for_passphrase(ctx)
    key = os.urandom(32)
    machine(ctx).keep(ctx, key, given)
    if machine(ctx).recall(ctx, given) != key:
        raise StepError(
            'the machine key did not come back as it was kept', 'look at stick, TPM or server, and try again'
        )
    return key, luks.RANDOM_KEY
