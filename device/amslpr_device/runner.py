"""The first boot: steps in their order, each by its product, never by a marker.

A step is a module of `steps` with product_ok(ctx) and make(ctx). What is good is left alone, so a finished device is
only looked at; what a power cut left half done is made again. Two units run this: `first-boot` up to sshd, and
`provision` for the rest, which is also what opens the data partition at every boot.
"""

from __future__ import annotations

import fcntl
import os
import traceback
from importlib import import_module
from types import ModuleType

from amslpr_device.context import Context, StepError, Waiting
from amslpr_device.files import make_folder
from amslpr_device.rescue import settled
from amslpr_device.status import Status, current, tell

# Up to sshd: nothing here can take long, so that a failure later never locks anybody out.
FIRST_BOOT = (
    'entropy',
    'clock',
    'identity',
    'site',
    'hostname',
    'machine-id',
    'admins',
    'host-key',
    'network',
    'firewall',
    'ssh-ready',
)
PROVISION = (
    'board',
    'partitions',
    'data',
    'sudo-passwords',
    'data-open',
    'tls',
    'secrets',
    'backup-recipients',
    'report',
    'clean-site-file',
    'ready',
)
# Runs `provision` once more a little later.
RETRY = 'amslpr-retry.timer'
PHASES = {'first-boot': FIRST_BOOT, 'provision': PROVISION}
# What systemd says of a phase that could not say it itself, in its own words and ours.
ENDED = {
    'timeout': 'took too long and was stopped',
    'watchdog': 'did not answer and was stopped',
    'oom-kill': 'was stopped for lack of memory',
    'signal': 'was killed',
    'core-dump': 'crashed',
    'exit-code': 'ended without a word',
}


def step(name: str) -> ModuleType:
    """The module of a step."""
    return import_module(f'amslpr_device.steps.{name.replace("-", "_")}')


def main(phase: str, ctx: Context | None = None) -> int:
    """Runs a phase. 0: all products are there, or a person is waited for; 1: a step failed."""
    ctx = ctx or Context()
    os.umask(0o022)
    make_folder(ctx.state, 0o700)
    ctx.run_folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    with open(ctx.run_folder / 'lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return run(ctx, phase)


def run(ctx: Context, phase: str) -> int:
    """The steps of a phase, up to the first that cannot be done."""
    if phase == 'provision' and not step('site').recall(ctx):
        return 0
    name = ''
    try:
        for name in PHASES[phase]:
            module = step(name)
            if module.product_ok(ctx):
                continue
            tell(ctx, Status('working', name))
            module.make(ctx)
            if not module.product_ok(ctx):
                raise StepError('the step ran, but its product is not there', 'the journal has more: journalctl -b')
    except Waiting as wait:
        tell(ctx, Status('waiting', name, wait.message, wait.hint))
        settled(ctx)
        if wait.again and ctx.real:
            ctx.succeeds(['systemctl', 'restart', '--no-block', RETRY])
        return 0
    except StepError as error:
        tell(ctx, Status('failed', name, error.message, error.hint))
        # Before SSH too: a start that says what it lacks came to its end. Rescue would hide that, and mend nothing.
        settled(ctx)
        return 1
    except Exception as error:  # Whatever a step did not think of must be shown and must not look like success.
        traceback.print_exc()
        tell(ctx, Status('failed', name, f'{type(error).__name__}: {error}', 'the journal has more: journalctl -b'))
        return 1
    if phase == 'provision':
        tell(ctx, Status('ready'))
        settled(ctx)
    return 0


def stopped(phase: str, ctx: Context | None = None) -> int:
    """Told by systemd that a phase has ended: says `failed` for one that was killed while it still said `working`."""
    ctx = ctx or Context()
    now = current(ctx)
    result = os.environ.get('SERVICE_RESULT', '')
    # Somebody restarts the device meanwhile: no failure.
    by_request = result == 'signal' and os.environ.get('EXIT_STATUS') == 'TERM'
    if result in ENDED and not by_request and now.get('state', 'working') == 'working':
        name = now.get('step', '')
        message = f'{"the step" if name else f"the program {phase}"} {ENDED[result]}'
        tell(ctx, Status('failed', name, message, 'restart the device; the journal has more: journalctl -b'))
    return 0
