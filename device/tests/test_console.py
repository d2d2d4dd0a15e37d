"""The screen: a real terminal, on which somebody types a passphrase."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from amslpr_device.context import Context
from amslpr_device.files import write, write_record
from amslpr_device.status import Status, tell

RIGHT = 'correct horse battery staple'
# The program on its terminal, as its unit starts it. systemd and the table of mounts are replaced: what restarts the
# units says what the steps would say of the passphrase.
PROGRAM = """
import fcntl, subprocess, sys, termios
from pathlib import Path
from amslpr_device import service
from amslpr_device.context import Context
from amslpr_device.status import Status, tell

fcntl.ioctl(0, termios.TIOCSCTTY, 0)
ctx = Context(Path(sys.argv[1]))

def run(arguments, **options):
    if arguments[:2] == ['systemctl', 'restart']:
        path = ctx.run_folder / 'passphrase'
        given, mode = path.read_text(), path.stat().st_mode & 0o777
        path.unlink()
        with open(ctx.root / 'given', 'a') as file:
            file.write(f'{given} {mode:o}\\n')
        if given == sys.argv[2]:
            (ctx.root / 'opened').touch()
            tell(ctx, Status('ready'))
        else:
            tell(ctx, Status('waiting', 'data-open', 'That passphrase did not open the data partition.'))
    return subprocess.CompletedProcess(arguments, 0)

service.subprocess.run = run
Context.is_mounted = lambda self, path: (self.root / 'opened').exists()
service.time.sleep = lambda seconds, sleep=service.time.sleep: sleep(0.01)
service.console(ctx)
"""


class Screen:
    """The program on a terminal of its own."""

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.terminal, end = pty.openpty()
        env = {**os.environ, 'PYTHONPATH': str(Path(__file__).resolve().parents[1]), 'TERM': 'linux'}
        command = [sys.executable, '-B', '-c', PROGRAM, str(ctx.root), RIGHT]
        self.program = subprocess.Popen(command, stdin=end, stdout=end, stderr=end, env=env, start_new_session=True)
        os.close(end)
        self.seen = ''

    def wait(self, pattern: str) -> str:
        """What came since the last call, up to the pattern."""
        deadline = time.monotonic() + 20
        while not (found := re.search(pattern, self.seen)):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.terminal], [], [], left)[0]:
                raise AssertionError(f'no {pattern!r} in {self.seen!r}')
            self.seen += os.read(self.terminal, 4096).decode()
        text, self.seen = self.seen[: found.end()], self.seen[found.end() :]
        return text

    def type(self, text: str) -> None:
        """One line."""
        os.write(self.terminal, f'{text}\n'.encode())

    def end(self) -> None:
        """Ends the program."""
        self.program.kill()
        self.program.wait()
        os.close(self.terminal)

    def given(self) -> list[str]:
        """What was handed over, each with the mode of its file."""
        path = self.ctx.root / 'given'
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def closed(ctx: Context) -> Context:
    """A device with the method passphrase that waits for it."""
    write(ctx.state / 'site.yaml', (ctx.boot / 'site.yaml').read_text().replace('method: card', 'method: passphrase'))
    write_record(ctx.state / 'data.json', {'state': 'live'})
    tell(ctx, Status('waiting', 'data-open', 'The data partition is closed.', 'type it'))
    return ctx


@pytest.fixture
def screen(closed: Context) -> Iterator[Screen]:
    """The screen of that device."""
    found = Screen(closed)
    yield found
    found.end()


def test_a_passphrase_at_the_screen_opens_the_data_and_is_never_shown(screen: Screen) -> None:
    text = screen.wait('Passphrase: ')
    assert 'AMSLPR device gate-north: waiting at data-open, data closed' in text
    assert 'The data partition is closed.' in text
    screen.type('not the passphrase')
    text += screen.wait('did not open the data partition[\\s\\S]*Passphrase: ')
    screen.type('')
    text += screen.wait('Passphrase: ')
    screen.type('short')
    text += screen.wait('has 12 to 512 bytes[\\s\\S]*Passphrase: ')
    screen.type(RIGHT)
    text += screen.wait('gate-north: ready, data open')
    assert screen.given() == ['not the passphrase 600', f'{RIGHT} 600']
    for typed in (RIGHT, 'not the passphrase', 'short'):
        assert typed not in text


def test_a_new_passphrase_is_asked_for_twice(closed: Context) -> None:
    (closed.state / 'data.json').unlink()
    tell(closed, Status('waiting', 'data', 'No passphrase yet.'))
    screen = Screen(closed)
    try:
        screen.wait('data not made[\\s\\S]*Passphrase: ')
        screen.type(RIGHT)
        screen.wait('Once more: ')
        screen.type('something else')
        screen.wait('The two differ.[\\s\\S]*Passphrase: ')
        assert screen.given() == []
        screen.type(RIGHT)
        screen.wait('Once more: ')
        screen.type(RIGHT)
        screen.wait('gate-north: ready, data open')
        assert screen.given() == [f'{RIGHT} 600']
    finally:
        screen.end()


def test_the_screen_asks_nothing_where_nobody_is_waited_for(closed: Context) -> None:
    tell(closed, Status('failed', 'data-open', 'The card has an error.', 'another card'))
    screen = Screen(closed)
    try:
        text = screen.wait('another card')
        tell(closed, Status('waiting', 'site', 'There is no site file.'))
        text += screen.wait('There is no site file.')
        assert 'Passphrase' not in text
        tell(closed, Status('waiting', 'data-open', 'Closed.'))
        screen.wait('Passphrase: ')
    finally:
        screen.end()
