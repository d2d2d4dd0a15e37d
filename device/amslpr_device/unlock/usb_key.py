"""The method `usb-key`: the key is a file on a USB stick with a FAT file system labelled AMSLPRKEY.

The stick is never formatted: one file, amslpr-CONTAINER.key, is written to it, so that one stick can serve several
devices. The image does not let the kernel load the drivers of USB disks; they are loaded here past that, and taken out
again once the key was read, so that at any other time a stick is not even looked at (kernels with built-in drivers
excepted). The stick is mounted read-only but while its file is made.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from amslpr_device.context import Context, StepError, Waiting
from amslpr_device.files import write
from amslpr_device.unlock.hints import AGAIN, RECOVER

LABEL = 'AMSLPRKEY'
DRIVERS = 'amslpr-stick-drivers.service'
SECONDS = 10
SAFE = 'nodev,nosuid,noexec,fmask=0177,dmask=0077'


def file_name(ctx: Context) -> str:
    """By the container, which does not change when it is enrolled again."""
    return f'amslpr-{ctx.remember("data.json")["uuid"]}.key'


def find(ctx: Context) -> list[str]:
    """Device files of sticks with our label; waits a little, since sticks take a moment to answer."""
    deadline = time.monotonic() + SECONDS
    while True:
        asked = ['blkid', '-c', '/dev/null', '-t', f'LABEL={LABEL}', '-o', 'device']
        found = ctx.run(asked, ok=(0, 2)).decode().split()
        if found or time.monotonic() > deadline:
            return found
        time.sleep(0.5)


@contextmanager
def sticks(ctx: Context, option: str) -> Iterator[list[Path]]:
    """Folders of the sticks that are in, mounted `ro` or `rw` for as long as the context lasts."""
    folders: list[Path] = []
    # By a unit of its own: this process may load nothing.
    ctx.run(['systemctl', 'start', DRIVERS])
    try:
        for number, device in enumerate(find(ctx)):
            folder = ctx.run_folder / f'stick{number}'
            folder.mkdir(mode=0o700, exist_ok=True)
            try:
                ctx.run(['mount', '-t', 'vfat', '-o', f'{option},{SAFE}', device, str(folder)])
            except StepError as error:
                hint = 'give the stick a FAT file system, or mend it in another computer'
                raise Waiting(f'The stick {LABEL} cannot be mounted: {error.message}', hint) from error
            folders.append(folder)
        yield folders
    finally:
        for folder in folders:
            ctx.run(['umount', str(folder)])
        # A card reader on USB that root is on keeps its driver.
        ctx.succeeds(['systemctl', 'stop', DRIVERS])


def ready(ctx: Context) -> None:
    """Whether just one stick is in."""
    with sticks(ctx, 'ro') as found:
        only(found)


def only(found: list[Path]) -> Path:
    """The one stick; raises Waiting for none or several."""
    if not found:
        hint = f'put in a stick with a FAT file system labelled {LABEL}; {AGAIN}'
        raise Waiting(f'No USB stick labelled {LABEL} is there to take the key.', hint, again=True)
    if len(found) > 1:
        raise Waiting(f'{len(found)} USB sticks are labelled {LABEL}.', 'leave only one in', again=True)
    return found[0]


def keep(ctx: Context, key: bytes, given: bytes) -> None:
    """Writes the key to the stick."""
    with sticks(ctx, 'rw') as found:
        try:
            write(only(found) / file_name(ctx), base64.b64encode(key) + b'\n', 0o600)
        except OSError as error:
            hint = 'the stick may be full, write-protected or broken: use another one'
            raise Waiting(f'The key cannot be written to the stick: {error.strerror}', hint) from error


def recall(ctx: Context, given: bytes) -> bytes:
    """Reads it from whichever stick has it."""
    with sticks(ctx, 'ro') as found:
        for folder in found:
            try:
                return base64.b64decode((folder / file_name(ctx)).read_bytes(), validate=False)
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:
                raise Waiting(f'The key on the stick cannot be read: {error}', RECOVER) from error
    if not found:
        hint = f'put it in; {AGAIN}. Or {RECOVER}'
        raise Waiting(f'The USB stick with the key, labelled {LABEL}, is not there.', hint, again=True)
    hint = f'put in the right one; {AGAIN}. Or {RECOVER}'
    raise Waiting(f'The stick holds no key of this device ({file_name(ctx)}).', hint, again=True)
