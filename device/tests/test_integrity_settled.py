"""A look waits for apt, whose lock is the real one, held by another process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from written import build, written

from amslpr_device.context import Context
from amslpr_device.integrity import command, names, settled, state

HOLD = """
import fcntl, pathlib, sys, time
lock, status, new = map(pathlib.Path, sys.argv[1:])
file = lock.open('w')
fcntl.lockf(file, fcntl.LOCK_EX)
new.write_text('half of an upgrade')
print(flush=True)
time.sleep(1)
new.unlink()
status.write_text('installed')
"""


@pytest.fixture
def image(tmp_path: Path) -> Context:
    ctx = written(tmp_path)
    ctx.at(settled.STATUS).parent.mkdir(parents=True, exist_ok=True)
    ctx.at(settled.LOCK).touch()
    ctx.at('/etc/ufw/applications.d').mkdir(parents=True)
    build(ctx)
    return ctx


def hold(ctx: Context) -> subprocess.Popen[bytes]:
    new = '/etc/ufw/applications.d/app.dpkg-new'
    argv = [sys.executable, '-c', HOLD, *(ctx.at(one) for one in (settled.LOCK, settled.STATUS, new))]
    holder = subprocess.Popen(argv, stdout=subprocess.PIPE)
    assert holder.stdout is not None and holder.stdout.readline() == b'\n'
    return holder


def test_the_first_look_takes_in_nothing_of_an_upgrade(image: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settled, 'PAUSE', 0.05)
    assert not settled.busy(image)
    with hold(image):
        assert settled.busy(image)
        assert command.main(['check'], image) == 0
    assert not [path for path in state.moved(image) if 'dpkg-new' in path]
    assert command.main(['check'], image) == 0


def test_what_was_installed_meanwhile_is_looked_at_again(image: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    marks = iter([1, 2, 3, 3])
    monkeypatch.setattr(settled, 'mark', lambda _: next(marks))
    assert command.main(['check'], image) == 0
    assert next(marks, None) is None


def test_without_an_end_it_is_an_error(image: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settled, 'PATIENCE', 0)
    with hold(image):
        assert command.main(['check'], image) == 1
    assert 'still being installed' in state.last(image)['error']


def test_what_runit_helper_links_is_generated() -> None:
    assert names.generated('etc/runit/runsvdir/default/ssh')


def test_what_the_console_is_set_up_with_is_the_devices_own() -> None:
    # Raspberry Pi OS writes it again at the first start, and its package when it is installed.
    for path in ('etc/console-setup/cached_setup_keyboard.sh', 'etc/console-setup/cached_UTF-8_del.kmap.gz'):
        assert names.own(path) and names.generated(path)
    assert not names.own('etc/console-setup/remap.inc')
