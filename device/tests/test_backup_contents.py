"""What is in a backup was there at one time, is whole, and is the newest by any clock; a full disk harms nobody."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tarfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from backup_device import decrypt, make_device

from amslpr_device import backup, backup_contents
from amslpr_device.backup_places import SUFFIX, BackupError, Places
from amslpr_device.backup_records import archives


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return make_device(tmp_path)


@pytest.fixture(autouse=True)
def as_ordinary_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, 'geteuid', lambda: 1000)


def users(places: Places, name: str) -> dict[str, Any]:
    """The accounts in an archive."""
    with tarfile.open(decrypt(places, name)) as tar:
        member = tar.extractfile('state/config/users.json')
        assert member is not None
        return json.load(member)


def at(monkeypatch: pytest.MonkeyPatch, year: int, second: int) -> None:
    """Sets the clock by which archives are named."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime(year, 1, 1, 2, 0, second, tzinfo=UTC)

    monkeypatch.setattr(backup, 'datetime', Clock)


def test_a_clock_that_was_wrong_costs_no_new_archive(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    for year, second in ((2036, 1), (2036, 2), (2026, 1), (2026, 2), (2026, 3)):
        at(monkeypatch, year, second)
        made.append(backup.create(places))
        # Two are kept: the one that was just made, and the one before it.
        assert archives(places) == made[-2:]
    assert [record['number'] for record in backup.records(places)] == [4, 5]


def test_archives_of_before_they_were_counted_go_first(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    for second in (1, 2):
        at(monkeypatch, 2036, second)
        name = backup.create(places)
        record = json.loads((places.backups / f'{name}.json').read_text())
        del record['number']
        (places.backups / f'{name}.json').write_text(json.dumps(record))
    at(monkeypatch, 2026, 1)
    backup.create(places)
    assert archives(places) == ['amslpr-20360101T020002Z', 'amslpr-20260101T020001Z']


def test_a_second_that_comes_back_overwrites_nothing(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, 2026, 1)
    first = backup.create(places)
    before = (places.backups / (first + SUFFIX)).read_bytes()
    monkeypatch.setattr(time, 'sleep', lambda seconds: at(monkeypatch, 2026, 2))
    assert backup.create(places) != first
    assert (places.backups / (first + SUFFIX)).read_bytes() == before


@pytest.mark.parametrize(
    ('name', 'text', 'message'),
    [
        ('var/lib/amslpr/config/users.json', '{"users": {"admin": {', 'holds no accounts, or is not whole'),
        ('var/lib/amslpr/config/users.json', '', 'holds no accounts'),
        ('var/lib/amslpr/config/users.json', '{"users": {}}', 'holds no accounts'),
        ('var/lib/amslpr/config/ocr_config.json', '{"a": 1', 'ocr_config.json is no JSON'),
        ('etc/amslpr/config.json', '{"a": \xff', 'settings/config.json is no JSON'),
        ('var/lib/amslpr/config/crypto.key', 'a2tra2s=', 'crypto.key is no key'),
        ('etc/amslpr/ssl/key.pem', '-----BEGIN PRIVATE KEY-----\nMIGH', 'tls/key.pem is no key'),
    ],
)
def test_half_a_file_is_no_backup(
    places: Places,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    text: str,
    message: str,
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(backup_contents.time, 'sleep', waited.append)
    (places.root / name).write_text(text, encoding='latin-1')
    assert backup.main(['create'], places) == 1
    assert message in capsys.readouterr().err
    assert waited == [1, 1]
    assert {path.name for path in places.backups.iterdir()} == {'.lock'}


def test_a_file_that_is_being_written_is_read_again(places: Places) -> None:
    path = places.state / 'config/users.json'
    whole = path.read_text()
    path.write_text(whole[:9])
    writer = threading.Timer(0.4, path.write_text, [whole])
    writer.start()
    assert users(places, backup.create(places)) == {'users': {'admin': {}}}


def test_a_writer_at_work(places: Places) -> None:
    """It writes as the application does, in place and in two parts, and rests between two log-ins."""
    path = places.state / 'config/users.json'
    stop = threading.Event()
    # A host that has other work needs longer for a backup, and the writer's rest has to be longer than one.
    began = time.monotonic()
    backup.create(places)
    rest = max(0.75, 2 * (time.monotonic() - began))

    def write() -> None:
        count = 0
        while not stop.is_set():
            count += 1
            text = json.dumps({'users': {'admin': {'last_login': count, 'filler': 'x' * 20_000}}})
            with path.open('w') as file:
                file.write(text[:10_000])
                file.flush()
                time.sleep(0.15)
                file.write(text[10_000:])
            stop.wait(rest)

    thread = threading.Thread(target=write)
    thread.start()
    made = 0
    try:
        for _ in range(6):
            with contextlib.suppress(BackupError):
                name = backup.create(places)
                made += 1
                assert len(json.dumps(users(places, name))) > 20_000 or made == 1
    finally:
        stop.set()
        thread.join()
    assert made > 1


def test_files_are_of_the_time_of_the_databases(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    """An account that comes while the database is copied is in the archive, with the database of after that."""
    path = places.state / 'config/users.json'
    copy, calls = backup_contents.copy_database, []

    def meanwhile(source: Path, target: Path) -> dict[str, int]:
        calls.append(1)
        found = copy(source, target)
        if len(calls) == 1:
            path.write_text('{"users": {"admin": {}, "later": {}}}')
        return found

    monkeypatch.setattr(backup_contents, 'copy_database', meanwhile)
    assert 'later' in users(places, backup.create(places))['users']
    assert len(calls) == 2


@pytest.mark.parametrize('change', ['changes', 'comes', 'goes'])
def test_files_that_never_rest_are_no_backup(places: Places, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    copy, count = backup_contents.copy_database, iter(range(100))
    (places.state / 'config/extra.json').write_text('{}')

    def meanwhile(source: Path, target: Path) -> dict[str, int]:
        config = places.state / 'config'
        if change == 'changes':
            (config / 'users.json').write_text(f'{{"users": {{"admin": {next(count)}}}}}')
        elif change == 'comes':
            (config / f'new{next(count)}.json').write_text('{}')
        else:
            (config / 'extra.json').unlink(missing_ok=True)
        return copy(source, target)

    monkeypatch.setattr(backup_contents, 'copy_database', meanwhile)
    monkeypatch.setattr(backup_contents.time, 'sleep', lambda seconds: None)
    if change == 'goes':
        # It is gone at the second attempt, and then nothing changes.
        backup.create(places)
        return
    with pytest.raises(BackupError, match='changed while the databases were copied, 3 times'):
        backup.create(places)
    assert not list(places.backups.glob('*amslpr-*'))


def test_a_picture_that_is_removed_meanwhile_is_left_out(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    (places.root / 'usr/share/amslpr/backup.json').write_text('{"images": true}')
    gone = places.state / 'data/images/gone.jpg'
    monkeypatch.setattr(
        backup_contents,
        'pictures',
        lambda places: [
            ('state/data/images/gone.jpg', gone),
            ('state/data/images/plate.jpg', gone.with_name('plate.jpg')),
        ],
    )
    with tarfile.open(decrypt(places, backup.create(places))) as tar:
        names = tar.getnames()
    assert 'state/data/images/plate.jpg' in names and 'state/data/images/gone.jpg' not in names


# The data partition of a small card, really full: `argv` is the folder, the code of the tests, and what fills it.
FULL = """
import os, sys
from pathlib import Path
sys.path[:0] = sys.argv[2:4]
os.geteuid = lambda: 1000
from backup_device import make_device
from amslpr_device import backup, backup_contents
from amslpr_device.backup_places import SUFFIX
places = make_device(Path(sys.argv[1]))
first = backup.create(places)
before = sorted(path.name for path in places.backups.iterdir())
if sys.argv[4] == 'reserve':
    # Full but for the reserve, which a backup may not touch.
    (places.root / 'filler').write_bytes(os.urandom(70 << 20))
else:
    # Somebody else fills it while the archive is written: pictures of 8 MiB where 3 MiB are left.
    (places.root / 'usr/share/amslpr/backup.json').write_text('{"images": true}')
    (places.state / 'data/images/large.jpg').write_bytes(os.urandom(8 << 20))
    free = os.statvfs(places.root)
    (places.root / 'filler').write_bytes(os.urandom(free.f_bavail * free.f_frsize - (3 << 20)))
    backup.require_space = lambda places: None
print('code', backup.main(['create'], places), flush=True)
after = sorted(path.name for path in places.backups.iterdir())
assert after == before, after
assert backup.verify(places, first) == ''
# The application goes on.
(places.state / 'data/images/next.jpg').write_bytes(os.urandom(2 << 20))
import sqlite3
with sqlite3.connect(places.state / 'data/amslpr.db') as database:
    database.execute("INSERT INTO vehicles VALUES ('next')")
    database.executemany('INSERT INTO vehicles VALUES (?)', [(f'N{n}',) for n in range(10000)])
print('goes on')
"""


@pytest.mark.slow
@pytest.mark.parametrize(('how', 'message'), [('reserve', 'stay free for the application'), ('meanwhile', 'No space')])
def test_a_full_disk_fails_the_backup_and_nothing_else(tmp_path: Path, how: str, message: str) -> None:
    tests = Path(__file__).resolve().parent
    command = 'mount -t tmpfs -o size=128m tmpfs "$1" && mkdir "$1/card" && shift && exec "$@"'
    program = [sys.executable, '-B', '-c', FULL, tmp_path / 'card', tests, tests.parent, how]
    done = subprocess.run(
        ['unshare', '-r', '-m', 'sh', '-c', command, 'sh', tmp_path, *program],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines() == ['code 1', 'goes on'], done.stderr
    assert message.lower() in done.stderr.lower()
