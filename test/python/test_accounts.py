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


# On a file system that is really full. `argv`: its folder, then the folder of the module.
FULL = """
import json, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import amslpr_accounts
users = Path(sys.argv[1]) / 'users.json'
good = json.dumps({'users': {'admin': {'filler': 'x' * 3000}}})
users.write_text(good)
filler = Path(sys.argv[1]) / 'filler'
def fill():
    with filler.open('ab', buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
def ask(name):
    said = []
    def application(environ, start):
        start('200 OK', [])
        with users.open('wb', buffering=0) as file:
            if name == 'raced':
                fill()
            try:
                file.write(good.encode())
            except OSError:
                said.append('lost')
        return [b'']
    app = amslpr_accounts.kept(application, users, lambda environ: True)
    app({}, lambda status, headers: said.append(status))
    print(name, *said, amslpr_accounts.readable(users))
fill()
ask('no copy yet')
os.truncate(filler, os.stat(filler).st_size - 4096)
amslpr_accounts.keep(users)
fill()
ask('copy there')
ask('raced')
ask('without a copy again')
"""


@pytest.mark.slow
def test_a_full_disk_costs_no_account(tmp_path: Path) -> None:
    command = 'mount -t tmpfs -o size=64k tmpfs "$1" && shift && exec "$@"'
    program = [sys.executable, '-B', '-c', FULL, tmp_path, WRAPPER]
    done = subprocess.run(
        ['unshare', '-r', '-m', 'sh', '-c', command, 'sh', tmp_path, *program],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines() == [
        'no copy yet 507 Insufficient Storage True',
        'copy there 200 OK True',
        'raced lost 507 Insufficient Storage True',
        'without a copy again 507 Insufficient Storage True',
    ], done.stderr
