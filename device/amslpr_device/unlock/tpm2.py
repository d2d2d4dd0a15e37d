"""The method `tpm2`: the key is sealed by a TPM 2.0 chip, with or without a PIN.

It is bound to the chip and not to the software: a Raspberry Pi measures nothing that it starts. The sealed key,
/var/lib/amslpr-device/keys/tpm2.json, is worth nothing without the chip. With a PIN the chip counts wrong ones and
then refuses for a while, so that a short one will do. Its parent is made anew from the chip's own seed each time:
clearing the chip makes the sealed key useless for good.
"""

from __future__ import annotations

import base64
import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from amslpr_device.context import Context, StepError, Waiting, in_memory
from amslpr_device.files import make_folder, write_record
from amslpr_device.unlock.hints import RECOVER

RECORD = 'keys/tpm2.json'
# Opens one object after another for us, and takes them out again.
DEVICE = '/dev/tpmrm0'
# A parent as the tools make it, and `noda`: nobody guesses at it, so it works while the chip takes no PIN.
PARENT = 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|decrypt|noda'
# Codes of the specification, as tpm2-tools print them: wrong PIN; wrong ones too often.
AUTH_FAILED = ('0x98e', '0x98E', '0x9a2', '0x9A2')
LOCKED_OUT = ('0x921',)


def tcti(ctx: Context) -> str:
    """How the tools reach the chip."""
    return f'device:{ctx.at(DEVICE)}'


def ready(ctx: Context) -> None:
    """Whether there is a chip that answers."""
    if tcti(ctx) == f'device:{DEVICE}' and not Path(DEVICE).exists():
        hint = 'add the TPM, and its dtoverlay to config.txt, then start the device again'
        raise Waiting('This board shows no TPM 2.0.', hint)
    try:
        ctx.run(['tpm2_getcap', '-Q', '-T', tcti(ctx), 'properties-fixed'])
    except StepError as error:
        raise Waiting(
            f'The TPM does not answer: {error.message}', 'look at how it is connected; start again'
        ) from error


@contextmanager
def workshop(ctx: Context) -> Iterator[Path]:
    """A folder in memory with the parent of the sealed key, primary.ctx."""
    folder = Path(tempfile.mkdtemp(dir=ctx.run_folder))
    try:
        parent = ['tpm2_createprimary', '-Q', '-T', tcti(ctx), '-C', 'o', '-g', 'sha256', '-G', 'ecc256', '-a', PARENT]
        ctx.run([*parent, '-c', str(folder / 'primary.ctx')])
        yield folder
    finally:
        shutil.rmtree(folder)


def auth(given: bytes) -> bytes:
    """The PIN as the chip takes it: 32 bytes at most, and none that is lost on the way."""
    return hashlib.sha256(given).hexdigest()[:32].encode()


def with_pin(ctx: Context, arguments: Sequence[str], given: bytes, data: bytes = b'') -> bytes:
    """Runs a tool with the PIN in a file in memory, when there is one."""
    if not given:
        return ctx.run(arguments, give=data)
    with in_memory(auth(given)) as (path, descriptor):
        return ctx.run([*arguments, '-p', f'file:{path}'], give=data, fds=(descriptor,))


def keep(ctx: Context, key: bytes, given: bytes) -> None:
    """Seals the key. Without a PIN nothing is guessed, so that a chip that is locked out by others does not matter."""
    attributes = 'fixedtpm|fixedparent|userwithauth' + ('' if given else '|noda')
    with workshop(ctx) as folder:
        public, private = folder / 'public', folder / 'private'
        create = ['tpm2_create', '-Q', '-T', tcti(ctx), '-C', str(folder / 'primary.ctx'), '-g', 'sha256']
        create += ['-a', attributes, '-u', str(public), '-r', str(private), '-i', '-']
        with_pin(ctx, create, given, key)
        parts = {
            name: base64.b64encode(path.read_bytes()).decode()
            for name, path in (('public', public), ('private', private))
        }
    make_folder((ctx.state / RECORD).parent, 0o700)
    write_record(ctx.state / RECORD, {**parts, 'pin': bool(given)})


def recall(ctx: Context, given: bytes) -> bytes:
    """Has the chip open the sealed key."""
    ready(ctx)
    record = ctx.remember(RECORD)
    if not {'public', 'private'} <= record.keys():
        raise Waiting('The sealed key is not there.', RECOVER)
    with workshop(ctx) as folder:
        for name in ('public', 'private'):
            (folder / name).write_bytes(base64.b64decode(record[name]))
        load = ['tpm2_load', '-Q', '-T', tcti(ctx), '-C', str(folder / 'primary.ctx'), '-c', str(folder / 'sealed.ctx')]
        try:
            ctx.run([*load, '-u', str(folder / 'public'), '-r', str(folder / 'private')])
        except StepError as error:
            message = 'The TPM does not know the key of this device: it was cleared, or it is the one of another board.'
            raise Waiting(message, RECOVER) from error
        try:
            return with_pin(ctx, ['tpm2_unseal', '-Q', '-T', tcti(ctx), '-c', str(folder / 'sealed.ctx')], given)
        except StepError as error:
            raise refused(error) from error


def refused(error: StepError) -> Waiting:
    """Why the chip did not open it, in words."""
    if any(code in error.message for code in LOCKED_OUT):
        hint = f'wait until it takes one again, which may be minutes or hours. Or {RECOVER}'
        return Waiting('The TPM takes no PIN for now: there were too many wrong ones.', hint)
    if any(code in error.message for code in AUTH_FAILED):
        return Waiting('That PIN did not open the data partition.', 'try again: amslpr-device unlock')
    return Waiting(f'The TPM did not open the key: {error.message}', RECOVER)
