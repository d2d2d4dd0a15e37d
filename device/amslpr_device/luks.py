"""cryptsetup: which cipher and key derivation fit this board, and making and opening the container of the data."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from amslpr_device.context import MAPPER, Context, StepError, in_memory

LABEL = 'amslpr-data'
# A random key of 256 bits gains nothing from a slow derivation, and opens at once.
RANDOM_KEY = ['--pbkdf', 'pbkdf2', '--pbkdf-force-iterations', '1000']


def has_aes(ctx: Context) -> bool:
    """Whether the CPU has instructions for AES (flags of x86, Features of ARM)."""
    try:
        text = ctx.at('/proc/cpuinfo').read_text()
    except OSError:
        return False
    lines = [line for line in text.splitlines() if line.startswith(('flags', 'Features'))]
    return any('aes' in line.split(':', 1)[1].split() for line in lines)


def ciphers(ctx: Context) -> list[list[str]]:
    """What to try, best first. Without instructions AES is slow, and its tables leak by their timing."""
    if has_aes(ctx):
        return [['--cipher', 'aes-xts-plain64', '--key-size', '512']]
    return [['--cipher', f'{name},aes-adiantum-plain64', '--key-size', '256'] for name in ('xchacha12', 'xchacha20')]


def for_passphrase(ctx: Context) -> list[str]:
    """argon2id with a memory that a smaller spare board has too."""
    memory = min(total_memory(ctx) // 4, 128 * 1024)
    threads = min(os.cpu_count() or 1, 4)
    return [
        *('--pbkdf', 'argon2id', '--pbkdf-memory', str(max(memory, 32 * 1024))),
        *('--pbkdf-parallel', str(threads), '--pbkdf-force-iterations', '4'),
    ]


def total_memory(ctx: Context) -> int:
    """KiB."""
    for line in ctx.at('/proc/meminfo').read_text().splitlines():
        if line.startswith('MemTotal:'):
            return int(line.split()[1])
    raise StepError('the size of the memory is not known')


def format_container(ctx: Context, device: Path, uuid: str, key: bytes, derivation: list[str]) -> None:
    """Makes a container with one key. Whatever was there is gone: the caller has asked."""
    common = ['cryptsetup', 'luksFormat', '--batch-mode', '--type', 'luks2', '--uuid', uuid, '--label', LABEL]
    # Says whose it is, should the card be found without its boot partition. The field holds 47 bytes.
    common += ['--subsystem', ctx.site['hostname'][:47]]
    attempts = ciphers(ctx)
    for number, cipher in enumerate(attempts):
        arguments = [*common, '--sector-size', '4096', *cipher, *derivation, '--key-file', '-', str(device)]
        if number + 1 < len(attempts):
            if ctx.succeeds(arguments, give=key):
                return
        else:
            ctx.run(arguments, give=key)


def add_key(ctx: Context, device: Path, old: bytes, new: bytes, derivation: list[str]) -> None:
    """Adds a key to a container that `old` opens."""
    with in_memory(old) as (old_path, first), in_memory(new) as (new_path, second):
        arguments = [
            'cryptsetup',
            'luksAddKey',
            '--batch-mode',
            *derivation,
            '--key-file',
            old_path,
            str(device),
            new_path,
        ]
        ctx.run(arguments, fds=(first, second))


def opens(ctx: Context, device: Path, key: bytes) -> bool:
    """Whether a key is one of the container's, without opening it."""
    return ctx.succeeds(['cryptsetup', 'open', '--test-passphrase', '--key-file', '-', str(device)], give=key)


def slot_of(ctx: Context, device: Path, key: bytes) -> str:
    """Number of the slot that a key opens."""
    test = ['cryptsetup', 'open', '--verbose', '--test-passphrase', '--key-file', '-', str(device)]
    said = re.search(rb'Key slot (\d+) unlocked', ctx.run(test, give=key))
    if said is None:
        raise StepError('cryptsetup did not say which slot the key opens')
    return said[1].decode()


def drop_others(ctx: Context, device: Path, recovery: bytes, key: bytes) -> None:
    """Leaves no way in but these two."""
    kept = {slot_of(ctx, device, one) for one in (recovery, key)}
    dump = json.loads(ctx.run(['cryptsetup', 'luksDump', '--dump-json-metadata', str(device)]))
    for slot in sorted(set(dump['keyslots']) - kept):
        ctx.run(['cryptsetup', 'luksKillSlot', '--batch-mode', '--key-file', '-', str(device), slot], give=recovery)


def open_container(ctx: Context, device: Path, key: bytes) -> None:
    """Opens it under its name. TRIM goes through: which blocks are free is no secret worth a worn-out card."""
    ctx.run(['cryptsetup', 'open', '--allow-discards', '--key-file', '-', str(device), MAPPER], give=key)
