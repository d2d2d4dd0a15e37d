"""Accounts survive what AMSLPR does to their file on a full disk, and when it is stopped in the middle."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from installed_site import PASSWORD, WRAPPER, Site

Install = Callable[..., Site]


def test_half_a_file_is_not_what_the_next_start_finds(install: Install) -> None:
    site = install(wrapped=True)
    users = site.state / 'config/users.json'
    site.post(site.browser(), '/login', {'username': 'admin', 'password': PASSWORD})
    before = json.loads(users.with_name('users.json.last').read_text())
    users.write_text(users.read_text()[:40])
    sys.modules['amslpr_wsgi'].prepare()
    assert json.loads(users.read_text()) == before
    assert site.log_in(site.browser()).status_code == 302


def test_a_write_that_fails_costs_no_account(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    site = install(wrapped=True)
    users = site.state / 'config/users.json'
    write = Path.write_text

    def fails(path: Path, text: str) -> int:
        if path.name != users.name:
            return write(path, text)
        write(path, '')
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(Path, 'write_text', fails)
    refused = site.log_in(site.browser())
    assert (refused.status_code, 'no room' in refused.get_data(as_text=True)) == (507, True)
    monkeypatch.undo()
    assert 'admin' in json.loads(users.read_text())['users']
    assert site.log_in(site.browser()).status_code == 302


@pytest.mark.parametrize('there', [True, False])
def test_a_stop_while_the_accounts_are_in_memory_leaves_them(install: Install, there: bool) -> None:
    site = install(wrapped=True)
    users, memory = site.state / 'config/users.json', site.state / 'in-memory'
    before = users.read_bytes()
    users.rename(users.with_name('users.json.lent'))
    users.symlink_to(memory)
    if there:
        memory.write_bytes(before)
    sys.modules['amslpr_wsgi'].prepare()
    assert (users.is_symlink(), users.read_bytes()) == (False, before)
    assert site.log_in(site.browser()).status_code == 302


# On a file system that is really full. `argv`: its folder, then the folder of the module, and one with room.
FULL = """
import json, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import amslpr_accounts
users = Path(sys.argv[1]) / 'users.json'
memory = Path(sys.argv[3]) / 'in-memory'
def accounts(filler):
    return json.dumps({'users': {'admin': {'filler': filler}}})
users.write_text(accounts('x' * 3000))
filler = Path(sys.argv[1]) / 'filler'
def fill():
    with filler.open('ab', buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
def ask(name, text, raced=False):
    said = []
    def application(environ, start):
        start('200 OK', [])
        with users.open('wb', buffering=0) as file:
            if raced:
                fill()
            try:
                file.write(text.encode())
            except OSError:
                said.append('lost')
        return [b'']
    app = amslpr_accounts.kept(application, users, lambda environ: True, memory)
    app({}, lambda status, headers: said.append(status))
    print(name, *said, users.read_text() == text, amslpr_accounts.readable(users))
fill()
ask('no copy yet', accounts('y' * 3000))
os.truncate(filler, os.stat(filler).st_size - 4096)
amslpr_accounts.keep(users)
fill()
ask('copy there', accounts('z' * 3000))
ask('again', accounts('a' * 3100))
ask('longer than its space', accounts('b' * 5000))
ask('half', accounts('c' * 3000)[:-5])
amslpr_accounts.scarce = lambda folder: False
ask('raced', accounts('d' * 3000), raced=True)
print(sorted(os.listdir(sys.argv[1])), memory.exists())
"""


@pytest.mark.slow
def test_a_full_disk_costs_no_account(tmp_path: Path) -> None:
    full, roomy = tmp_path / 'full', tmp_path / 'roomy'
    full.mkdir()
    roomy.mkdir()
    command = 'mount -t tmpfs -o size=64k tmpfs "$1" && shift && exec "$@"'
    program = [sys.executable, '-B', '-c', FULL, full, WRAPPER, roomy]
    done = subprocess.run(
        ['unshare', '-r', '-m', 'sh', '-c', command, 'sh', full, *program],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines() == [
        'no copy yet 507 Insufficient Storage False True',
        'copy there 200 OK True True',
        'again 200 OK True True',
        'longer than its space 507 Insufficient Storage False True',
        'half 200 OK False True',
        'raced lost 507 Insufficient Storage False True',
        "['filler', 'users.json'] False",
    ], done.stderr
