"""Updates of the application with the real stand-in, its wrapper and its database: forward, back, and cut anywhere."""

import io
import os
import re
import signal
import sqlite3
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from amslpr_device.app import archive, change, command, databases, releases
from amslpr_device.backup_places import BackupError, Places, exclusive

# Real cryptsetup, age, databases, networks: with all others in ci/test, not before each commit.
pytestmark = pytest.mark.slow

PROJECT = Path(__file__).parents[2]
SERVER = (
    'import sys, amslpr_wsgi; from werkzeug.serving import run_simple;'
    'run_simple("unix://" + sys.argv[1], 0, amslpr_wsgi.load(), threaded=True)'
)
SECOND = {'src/web/templates/login.html': lambda text: text + '<!-- second -->\n'}
Edits = dict[str, Callable[[str], str]]


class Local(change.SteadyServices):
    """Does with a process what systemd does with the unit."""

    def __init__(self, places: Places) -> None:
        super().__init__(places, run=self.systemctl)
        self.process: subprocess.Popen[bytes] | None = None

    def systemctl(self, arguments: Sequence[str], check: bool) -> None:
        if arguments[1] == 'stop' and self.process:
            self.process.terminate()
            self.process.wait(20)
            self.process = None
        if arguments[1] == 'start':
            self.places.socket.unlink(missing_ok=True)
            environment = {
                **os.environ,
                'AMSLPR_HOME': str(releases.link(self.places)),
                'AMSLPR_DATA_DIR': str(self.places.state),
                'AMSLPR_LOG_DIR': str(self.places.root / 'no-log'),
                'FLASK_SECRET_KEY': 'k' * 40,
                'PYTHONPATH': str(PROJECT / 'overlays/application/usr/lib/amslpr'),
                'PYTHONDONTWRITEBYTECODE': '1',
            }
            command_line = [sys.executable, '-c', SERVER, str(self.places.socket)]
            self.process = subprocess.Popen(command_line, env=environment, stderr=subprocess.DEVNULL)

    def wait_until_healthy(self, seconds: float = 90) -> None:
        super().wait_until_healthy(6 if seconds == 90 else seconds)


class Calm:
    """Starts nothing: for what only concerns files."""

    def stop(self) -> None: ...

    def start(self, tls: bool) -> None: ...

    def wait_until_healthy(self) -> None: ...


def pack(path: Path, edits: Edits | None = None, top: str = '') -> str:
    """An archive of the stand-in with some files changed."""
    with tarfile.open(path, 'w:gz') as tar:
        for source in sorted((PROJECT / 'standin/app').rglob('*')):
            name = str(source.relative_to(PROJECT / 'standin/app'))
            if '__pycache__' in name or not source.is_file():
                continue
            data = (edits or {}).get(name, lambda text: text)(source.read_text()).encode()
            info = tarfile.TarInfo(top + name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return str(path)


def rows(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as database:
        return [row[0] for row in database.execute('SELECT plate_number FROM vehicles ORDER BY 1')]


def add(places: Places, plate: str) -> None:
    with closing(sqlite3.connect(places.state / 'data/amslpr.db')) as database, database:
        database.execute("INSERT INTO vehicles (plate_number, created_at) VALUES (?, '')", (plate,))


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    """A device with the first release, accounts, and no database yet."""
    monkeypatch.setattr(os, 'geteuid', lambda: 1000)
    monkeypatch.setattr(change, 'STEADY', 0.2)
    made = Places(tmp_path / 'd')
    for folder in ('opt/amslpr/releases', 'var/backups/amslpr', 'run/amslpr', 'etc/amslpr'):
        (made.root / folder).mkdir(parents=True)
    for folder in ('data', 'config', 'backups'):
        (made.state / folder).mkdir(parents=True)
    (made.settings / 'config.json').write_text((PROJECT / 'standin/app/config.json').read_text())
    (made.state / 'config/users.json').write_text('{"users": {}, "roles": {}}')
    first = archive.unpack(made, pack(tmp_path / 'first.tar.gz'))
    releases.point(made, first.name)
    return made


@pytest.fixture
def system(places: Places) -> Iterator[Local]:
    """The application, running, with one vehicle in its database."""
    local = Local(places)
    local.start(False)
    local.wait_until_healthy()
    add(places, 'FIRST')
    yield local
    local.stop()


def left(places: Places) -> set[str]:
    """What is in the folder of releases."""
    return {path.name for path in releases.home(places).iterdir()}


def test_update_and_rollback(places: Places, system: Local, tmp_path: Path) -> None:
    first = releases.current(places)
    text = change.update(places, pack(tmp_path / 'second.tar.gz', SECOND, top='amslpr-2/'), system)
    second = releases.current(places)
    assert second != first and second in text and first in text
    assert '<!-- second -->' in (releases.link(places) / 'src/web/templates/login.html').read_text()
    assert not change.journal(places).exists()
    assert rows(releases.snapshots(places) / second / 'amslpr.db') == ['FIRST']
    assert f'{second}  runs  version 0.1.0  from archive  rollback leads to {first}' in command.listed(places)
    add(places, 'SECOND')
    assert 'recorded since' in change.rollback(places, system)
    assert releases.current(places) == first
    assert rows(places.state / 'data/amslpr.db') == ['FIRST']
    assert rows(releases.snapshots(places) / releases.ROLLED_BACK / 'amslpr.db') == ['FIRST', 'SECOND']
    with pytest.raises(BackupError, match='no way back'):
        change.rollback(places, system)


def test_layout_is_that_of_an_image(places: Places) -> None:
    name = releases.current(places)
    release = releases.home(places) / name
    manifest = (PROJECT / 'test/golden/amslpr/manifest.txt').read_text()
    assert f'/opt/amslpr/releases/{name}' in manifest
    assert os.readlink(release / 'data') == str(places.state / 'data')
    assert os.readlink(release / 'config.json') == str(places.settings / 'config.json')
    assert (release / 'defaults/ocr_config.json').is_file()
    modes = {path.stat().st_mode & 0o777 for path in release.rglob('*.py')}
    assert modes == {0o644}
    assert (release / 'config.json.archive').stat().st_mode & 0o777 == 0o600


def test_lists_are_those_of_the_stage() -> None:
    stage = (PROJECT / 'stages/application.ts').read_text()
    allowed = re.search(r'const allowed = \[(.*?)\]', stage, re.S)
    refused = re.search(r'const refused =\s*/\^\((.*)\)\$/;', stage)
    assert allowed and refused
    assert tuple(re.findall(r"'([^']+)'", allowed[1])) == archive.ALLOWED
    assert f'({refused[1]})' == archive.REFUSED.pattern
    assert f'/{archive.IN_NAME.pattern}/' in (PROJECT / 'src/plan/source-archive.ts').read_text()
    assert f"'^{archive.VERSION.pattern}$'" in (PROJECT / 'src/core/values.ts').read_text()


@pytest.mark.parametrize(
    ('name', 'top', 'written', 'version'),
    [
        ('amslpr-1.4.tar.gz', 'amslpr-1.3/', '1.5\n', '1.5'),
        ('amslpr-1.4.tar.gz', 'amslpr-1.3/', '', '1.4'),
        ('app.tar.gz', 'amslpr-v1.3/', '', 'v1.3'),
        ('app.tar.gz', '', '', 'unknown'),
        ('app.tar.gz', '', '1.5 `reboot`\n', 'unknown'),
    ],
)
def test_version(name: str, top: str, written: str, version: str, places: Places, tmp_path: Path) -> None:
    """The archive says what it is, and its file for that is not part of the release."""
    edits: Edits = {'VERSION': lambda _: written, **SECOND}
    made = archive.unpack(places, pack(tmp_path / name, edits, top))
    release = releases.home(places) / made.name
    assert f'version: {version}\n' in (release / 'RELEASE').read_text()
    assert not (release / 'VERSION').exists()


BROKEN: dict[str, tuple[str, str]] = {
    'does not start': ('raise SystemExit("broken")\n', 'did not answer'),
    'spoils the database': ('db = __import__("sqlite3").connect(paths.DATABASE); db.execute("DROP TABLE vehicles"); '
                            'db.commit(); raise SystemExit(1)\n', 'did not answer'),
    'leaves no database': ('os.unlink(paths.DATABASE)\n', 'made no database'),
    'writes over it': ('open(paths.DATABASE, "wb").write(b"garbage" * 999)\n', 'takes no row'),
}  # fmt: skip


@pytest.mark.parametrize('what', BROKEN)
def test_bad(what: str, places: Places, system: Local, tmp_path: Path) -> None:
    """A release that does not work goes, and the one of before works with its database."""
    first = releases.current(places)
    line, reason = BROKEN[what]
    file = pack(tmp_path / 'bad.tar.gz', {'src/web/app.py': lambda text: text + line})
    with pytest.raises(BackupError, match=reason) as caught:
        change.update(places, file, system)
    assert 'runs again' in str(caught.value)
    assert releases.current(places) == first
    assert left(places) == {first}
    assert rows(places.state / 'data/amslpr.db') == ['FIRST']
    assert system.status_of_login() == 200
    assert not list(releases.snapshots(places).iterdir())


CUTS: dict[str, tuple[Any, str]] = {
    'unpacking': (archive, 'lay_out'),
    'moving in': (archive, 'move'),
    'copying': (databases, 'copy_one'),
    'naming the copy': (databases, 'move'),
    'noting': (change, 'write_record'),
    'switching': (releases, 'move'),
    'trying': (databases, 'require_rows'),
    'forgetting': (change, 'forget'),
}


@pytest.mark.slow
@pytest.mark.parametrize('cut', CUTS)
@pytest.mark.parametrize('late', [False, True])
def test_cut(cut: str, late: bool, places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The power goes before or after a step: the next start has a whole release with the database that goes with it."""
    first = releases.current(places)
    with closing(sqlite3.connect(places.state / 'data/amslpr.db')) as database:
        database.execute('CREATE TABLE vehicles (plate_number TEXT, created_at TEXT)')
    add(places, 'FIRST')

    class Writing(Calm):
        """The new release writes as soon as it runs."""

        def start(self, tls: bool) -> None:
            if releases.current(places) != first:
                add(places, 'SECOND')

    file = pack(tmp_path / 'second.tar.gz', SECOND)
    child = os.fork()
    if child == 0:
        module, name = CUTS[cut]
        step = getattr(module, name)

        def killed(*given: Any, **named: Any) -> None:
            if late:
                step(*given, **named)
            os._exit(9)

        monkeypatch.setattr(module, name, killed)
        change.update(places, file, Writing())
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert command.main(['recover'], places, Calm()) == 0
    done = cut == 'forgetting' and late
    assert (releases.current(places) == first) is not done
    assert rows(places.state / 'data/amslpr.db') == (['FIRST', 'SECOND'] if done else ['FIRST'])
    assert not change.journal(places).exists()
    # And what is left over is in nobody's way.
    change.update(places, pack(tmp_path / 'third.tar.gz', {**SECOND, 'src/__init__.py': lambda text: '# 3\n'}), Calm())
    assert all(releases.NAME.fullmatch(name) for name in left(places))


def test_hang_up(places: Places, tmp_path: Path) -> None:
    """Whoever ends the program gets the old release back."""
    (places.state / 'data/amslpr.db').touch()
    first = releases.current(places)

    class Ended(Calm):
        calls = 0

        def wait_until_healthy(self) -> None:
            self.calls += 1
            if self.calls == 1:
                os.kill(os.getpid(), signal.SIGHUP)
                os.kill(os.getpid(), signal.SIGTERM)

    before = [signal.getsignal(one) for one in (signal.SIGHUP, signal.SIGTERM)]
    try:
        assert command.main(['update', pack(tmp_path / 'second.tar.gz', SECOND)], places, Ended()) == 1
    finally:
        for one, handler in zip((signal.SIGHUP, signal.SIGTERM), before, strict=True):
            signal.signal(one, handler)
    assert releases.current(places) == first and not change.journal(places).exists()


def entry(
    name: str, kind: bytes = tarfile.REGTYPE, target: str = '', data: bytes = b'x'
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    info.size = len(data) if kind == tarfile.REGTYPE else 0
    return info, data


REFUSED: dict[str, tuple[tuple[tarfile.TarInfo, bytes], str]] = {
    'up': (entry('src/../../../etc/x'), 'leads out'),
    'absolute': (entry('/etc/x'), 'leads out'),
    'control': (entry('src/a\nb'), 'leads out'),
    'link': (entry('src/passwd', tarfile.SYMTYPE, '/etc/passwd'), 'is a link'),
    'hard link': (entry('src/passwd', tarfile.LNKTYPE, 'config.json'), 'is a link'),
    'device': (entry('src/null', tarfile.CHRTYPE), 'neither a file nor a folder'),
    'pipe': (entry('src/pipe', tarfile.FIFOTYPE), 'neither a file nor a folder'),
    'long': (entry('src/' + 'a/' * 120 + 'b'), 'more than 200 bytes'),
    'twice': (entry('src/web/app.py'), 'twice'),
    'below a file': (entry('config.json/x'), 'could not be unpacked'),
    'large': (entry('src/large', data=b'x' * 2_000_000), 'too large'),
}


@pytest.mark.parametrize('what', REFUSED)
def test_refused(what: str, places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, 'BYTES', 1_000_000)
    plain = tmp_path / 'a.tar'
    (info, data), reason = REFUSED[what]
    with tarfile.open(pack(tmp_path / 'good.tar.gz', SECOND)) as good, tarfile.open(plain, 'w') as tar:
        for member in good:
            tar.addfile(member, good.extractfile(member))
        tar.addfile(info, io.BytesIO(data) if info.isreg() else None)
    before = left(places)
    with pytest.raises(BackupError, match=reason):
        archive.unpack(places, str(plain))
    assert left(places) == before


@pytest.mark.parametrize(
    ('edits', 'reason'),
    [
        ({'src/web/app.py': lambda _: 'def app(:\n'}, 'no Python'),
        ({'src/web/app.py': lambda _: 'import flask\n'}, 'sets no `app`'),
    ],
)
def test_not_the_application(edits: Edits, reason: str, places: Places, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match=reason):
        archive.unpack(places, pack(tmp_path / 'a.tar.gz', edits))


def test_no_archive(places: Places, tmp_path: Path) -> None:
    whole = Path(pack(tmp_path / 'a.tar.gz', SECOND)).read_bytes()
    for name, data in {'cut': whole[: len(whole) // 2], 'text': b'no archive' * 99, 'empty': b''}.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(BackupError, match='could not be unpacked'):
            archive.unpack(places, str(tmp_path / name))
    with pytest.raises(BackupError, match='cannot be read'):
        archive.unpack(places, str(tmp_path / 'missing'))
    assert left(places) == {releases.current(places)}


def test_secrets_and_tests_stay_out(places: Places, tmp_path: Path) -> None:
    with tarfile.open(pack(tmp_path / 'a.tar.gz', SECOND)) as good, tarfile.open(tmp_path / 'b.tar', 'w') as tar:
        for member in good:
            tar.addfile(member, good.extractfile(member))
        for name in (
            'config/users.json',
            'src/tests/x.py',
            'src/.git/config',
            'src/crypto.key',
            'README.md',
            'x/src/y',
        ):
            info, data = entry(name)
            tar.addfile(info, io.BytesIO(data))
    one, two = archive.unpack(places, str(tmp_path / 'a.tar.gz')), archive.unpack(places, str(tmp_path / 'b.tar'))
    assert (one.name, one.is_new, two.is_new) == (two.name, True, False)


def test_three_are_kept(places: Places, tmp_path: Path) -> None:
    (places.state / 'data/amslpr.db').touch()
    names = [releases.current(places)]
    for number in range(4):
        edits: Edits = {'src/__init__.py': lambda _, number=number: f'# {number}\n'}
        change.update(places, pack(tmp_path / f'{number}.tar.gz', edits), Calm())
        names.append(releases.current(places))
    assert left(places) == set(names[-3:])
    assert {path.name for path in releases.snapshots(places).iterdir()} == set(names[-3:])
    assert 'was done' in change.update(places, str(tmp_path / '3.tar.gz'), Calm())
    change.rollback(places, Calm())
    change.rollback(places, Calm())
    assert releases.current(places) == names[-3]
    with pytest.raises(BackupError, match='not there any more'):
        change.rollback(places, Calm())


def test_damaged_database_before_an_update(places: Places, tmp_path: Path) -> None:
    (places.state / 'data/amslpr.db').write_bytes(b'SQLite format 3\0' + b'x' * 5000)
    with pytest.raises(BackupError, match='nothing was changed'):
        change.update(places, pack(tmp_path / 'a.tar.gz', SECOND), Calm())
    assert len(left(places)) == 1


def test_one_at_a_time(places: Places, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with exclusive(places):
        assert command.main(['rollback'], places, Calm()) == 1
    assert 'Another backup or restore is running' in capsys.readouterr().err
    assert command.main(['update'], places, Calm()) == 2


def test_link_in_place_of_data(places: Places, tmp_path: Path) -> None:
    (places.state / 'data').rmdir()
    (places.state / 'data').symlink_to('/etc')
    with pytest.raises(BackupError, match='through a link'):
        change.update(places, pack(tmp_path / 'a.tar.gz', SECOND), Calm())
