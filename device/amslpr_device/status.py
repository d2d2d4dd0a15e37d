"""What the device says about itself: on the console, in /run, in STATUS.TXT on the boot partition, and by its LED.

States: working, waiting (for a person), failed, rescue, ready. STATUS.TXT is written when the state changes, and
only then.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from amslpr_device.boot_partition import put
from amslpr_device.context import Context, StepError
from amslpr_device.files import write

# The activity LED, or where a board has none (the 400) the power LED.
LEDS = ('ACT', 'PWR')
# Triggers of the kernel's LED driver: working beats, waiting blinks slowly, failed blinks fast, rescue
# flashes once in two seconds, ready is steady. /etc/modules-load.d/amslpr-led.conf loads those that may be modules.
LED = {'working': 'heartbeat', 'waiting': 'timer', 'failed': 'timer', 'rescue': 'timer', 'ready': 'default-on'}
BLINK = {'waiting': (900, 900), 'failed': (100, 100), 'rescue': (100, 1900)}


@dataclass
class Status:
    """`state` in one word, and what a person needs to know about it."""

    state: str
    step: str = ''
    message: str = ''
    hint: str = ''


def tell(ctx: Context, status: Status) -> None:
    """Says it everywhere. That one of the places fails never stops the boot."""
    ctx.run_folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    write(ctx.run_folder / 'status.json', json.dumps(asdict(status)) + '\n', 0o644)
    for line in lines(ctx, status):
        print(f'amslpr: {line}', flush=True)
    led(ctx, status.state)
    if status.state != 'working':
        with contextlib.suppress(StepError):
            note(ctx, status)


def progress(now: dict[str, Any], order: Sequence[str]) -> dict[str, list[str]]:
    """The steps in their order, by what is known of them: done, the one that is under way or stopped, to do."""
    if now.get('state') == 'ready':
        return {'done': list(order), 'now': [], 'next': []}
    at = order.index(now['step']) if now.get('step') in order else 0
    return {'done': list(order[:at]), 'now': [order[at]] if now.get('step') else [], 'next': list(order[at + 1 :])}


def note(ctx: Context, status: Status) -> None:
    """STATUS.TXT on the boot partition, for somebody who reads the card in another computer."""
    put(ctx, 'STATUS.TXT', ('\n'.join(['AMSLPR device', '', *lines(ctx, status)]) + '\n').encode()[:4000])


def lines(ctx: Context, status: Status) -> list[str]:
    """The same facts for people."""
    name = f'{ctx.site["hostname"]}: ' if 'hostname' in ctx.site else ''
    found = [f'{name}{status.state}{" at " + status.step if status.step else ""}']
    if status.message:
        found.append(status.message)
    if status.hint:
        found.append(f'Next: {status.hint}')
    return found


def current(ctx: Context) -> dict[str, Any]:
    """What was last said since power on."""
    try:
        return json.loads((ctx.run_folder / 'status.json').read_text())
    except (OSError, ValueError):
        return {}


def led(ctx: Context, state: str) -> None:
    """Sets the LED, where there is one. A state that it cannot show is told, and leaves it dark."""
    folder = next((folder for name in LEDS if (folder := ctx.at(f'/sys/class/leds/{name}')).is_dir()), None)
    if folder is None:
        return
    try:
        show(folder, state)
    except (OSError, LookupError) as error:
        print(f'amslpr: the LED cannot show {state}: {error}', flush=True)
        with contextlib.suppress(OSError):
            (folder / 'trigger').write_text('none')


def show(folder: Path, state: str) -> None:
    """Sets one LED. The kernel lists its triggers, the one in use in brackets, and refuses others."""
    trigger = folder / 'trigger'
    if LED[state] not in trigger.read_text().replace('[', ' ').replace(']', ' ').split():
        raise LookupError(f'the kernel has no trigger {LED[state]}')
    trigger.write_text(LED[state])
    if state in BLINK:
        # The files for the times come with the trigger.
        time.sleep(0.1)
        on, off = BLINK[state]
        (folder / 'delay_on').write_text(str(on))
        (folder / 'delay_off').write_text(str(off))
