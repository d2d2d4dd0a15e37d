"""Backups are proven, encrypted, whole or absent; restores change nothing unless they succeed."""

import io
import json
import os
import sqlite3
import stat
import subprocess
import tarfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from backup_device import KEY, decrypt, make_device

from amslpr_device import backup, backup_database, restore
from amslpr_device.backup_places import SUFFIX, BackupError, Places


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return make_device(tmp_path)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Gives every backup a second of its own without waiting for it."""
    seconds = iter(range(60))

    class Clock(backup.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return super().now(tz).replace(second=next(seconds))

    monkeypatch.setattr(backup, 'datetime', Clock)
    return lambda: None


@pytest.fixture(autouse=True)
def as_ordinary_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """The account of the application is not there, so nothing is given to it."""
    monkeypatch.setattr(os, 'geteuid', lambda: 1000)


def rows(places: Places) -> int:
    with closing(sqlite3.connect(places.state / 'data/amslpr.db')) as database:
        return database.execute('SELECT count(*) FROM vehicles').fetchone()[0]


def change(places: Places, statement: str) -> None:
    with closing(sqlite3.connect(places.state / 'data/amslpr.db')) as database, database:
        database.execute(statement)


class Services:
    """Counts what systemd would be told; `healthy` is whether the application answers."""

    def __init__(self, healthy: bool = True) -> None:
        self.healthy = healthy
        self.calls: list[str] = []

    def stop(self) -> None:
        self.calls.append('stop')

    def start(self, tls: bool) -> None:
        self.calls.append('start+nginx' if tls else 'start')

    def wait_until_healthy(self) -> None:
        if not self.healthy:
            raise BackupError('the application did not answer')


def test_archive_holds_everything_and_only_the_operator_reads_it(places: Places) -> None:
    name = backup.create(places)
    archive = places.backups / (name + SUFFIX)
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    assert KEY.encode()[30:90] not in archive.read_bytes()
    with tarfile.open(decrypt(places, name)) as tar:
        members = tar.getnames()
        manifest = json.load(tar.extractfile('manifest.json') or io.BytesIO())
    assert set(members) == {
        'database/amslpr.db',
        'settings/config.json',
        'state/config/crypto.key',
        'state/config/users.json',
        'tls/cert.pem',
        'tls/key.pem',
        'manifest.json',
    }
    assert manifest['tables'] == {'amslpr.db': {'vehicles': 1000}}
    assert {path.name for path in places.backups.iterdir()} == {'.lock', f'{name}.json', archive.name}


def test_pictures_are_an_option(places: Places) -> None:
    (places.root / 'usr/share/amslpr/backup.json').write_text('{"images": true}')
    with tarfile.open(decrypt(places, backup.create(places))) as tar:
        assert 'state/data/images/plate.jpg' in tar.getnames()


def test_write_ahead_log_is_in_the_copy(places: Places, tmp_path: Path) -> None:
    """A plain copy of the file would have none of these rows."""
    path = places.state / 'data/amslpr.db'
    with closing(sqlite3.connect(path)) as writer:
        writer.execute('PRAGMA journal_mode = WAL')
        writer.execute('PRAGMA wal_autocheckpoint = 0')
        writer.executemany('INSERT INTO vehicles VALUES (?)', [(f'W{n}',) for n in range(500)])
        writer.commit()
        tables = backup_database.copy_database(path, tmp_path / 'copy.db')
    assert tables == {'vehicles': 1500}
    assert not list(tmp_path.glob('copy.db-*'))


def test_damaged_database_is_no_backup(places: Places) -> None:
    path = places.state / 'data/amslpr.db'
    content = bytearray(path.read_bytes())
    content[4096:4400] = b'x' * 304
    path.write_bytes(content)
    assert backup.main(['create'], places) == 1
    assert not list(places.backups.glob('*.age'))


def test_retention_removes_the_oldest(places: Places, names: Callable[[], None]) -> None:
    made = [backup.create(places) for _ in range(4)]
    assert [record['name'] for record in backup.records(places)] == made[-2:]
    assert sorted(path.name for path in places.backups.glob('*.age')) == [name + SUFFIX for name in made[-2:]]


def test_full_disk_is_seen_before_anything_is_written(
    places: Places, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = os.statvfs(places.backups)
    full = os.statvfs_result((real[0], 4096, 1 << 20, 1000, 1000, *real[5:]))
    monkeypatch.setattr(os, 'statvfs', lambda _: full)
    assert backup.main(['create'], places) == 1
    assert 'stay free for the application' in capsys.readouterr().err
    assert not list(places.backups.glob('*amslpr-*'))


@pytest.mark.parametrize(
    ('recipients', 'message'),
    [('', 'nobody could read'), ('# none\n', 'nobody could read'), ('age1nonsense\n', 'could not encrypt')],
)
def test_recipients_must_be_usable(
    places: Places, recipients: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    places.recipients.write_text(recipients)
    assert backup.main(['create'], places) == 1
    assert message in capsys.readouterr().err
    assert not list(places.backups.glob('*amslpr-*'))


def test_each_recipient_can_open_it_an_ssh_key_too(places: Places, tmp_path: Path) -> None:
    subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', tmp_path / 'ssh'], check=True)
    with places.recipients.open('a') as file:
        file.write((tmp_path / 'ssh.pub').read_text())
    name = backup.create(places)
    archive = places.backups / (name + SUFFIX)
    for identity in ('ssh', 'identity'):
        clear = subprocess.run(
            ['age', '-d', '-i', tmp_path / identity, archive], capture_output=True, check=True
        ).stdout
        assert clear.startswith(b'\x1f\x8b')
    assert backup.records(places)[0]['recipients'] == 2


def test_links_of_the_application_are_not_followed(places: Places) -> None:
    (places.root / 'shadow').write_text('secret of root')
    (places.state / 'config/extra').symlink_to(places.root / 'shadow')
    with tarfile.open(decrypt(places, backup.create(places))) as tar:
        assert 'state/config/extra' not in tar.getnames()


def test_verify_sees_a_changed_archive(places: Places, capsys: pytest.CaptureFixture[str]) -> None:
    name = backup.create(places)
    assert backup.main(['verify'], places) == 0
    archive = places.backups / (name + SUFFIX)
    archive.write_bytes(archive.read_bytes()[:-1])
    assert backup.main(['verify', name], places) == 1
    assert f'{name}: its content has changed' in capsys.readouterr().out


def test_verify_without_a_backup_fails(places: Places) -> None:
    assert backup.main(['verify'], places) == 1


def test_list_tells_what_is_there(places: Places, capsys: pytest.CaptureFixture[str]) -> None:
    backup.main(['list'], places)
    assert 'no backup yet' in capsys.readouterr().out
    name = backup.create(places)
    backup.main(['list', '--json'], places)
    assert json.loads(capsys.readouterr().out)[0]['name'] == name


def test_left_overs_of_a_cut_backup_are_removed(places: Places) -> None:
    (places.backups / '.amslpr-20260101T000000Z.part').write_text('half')
    backup.create(places)
    assert not list(places.backups.glob('.*.part'))


def test_restore_brings_back_what_was_there(places: Places) -> None:
    clear = decrypt(places, backup.create(places))
    change(places, 'DELETE FROM vehicles')
    (places.state / 'config/users.json').write_text('{}')
    (places.settings / 'ssl/key.pem').write_text('another key')
    services = Services()
    said = restore.restore(places, str(clear), system=services)
    assert rows(places) == 1000
    assert 'admin' in (places.state / 'config/users.json').read_text()
    assert (places.settings / 'ssl/key.pem').read_text() == 'another key'
    assert services.calls == ['stop', 'start']
    kept = Path(said.split()[-1]) / 'var/lib/amslpr/config/users.json'
    assert kept.read_text() == '{}'
    assert stat.S_IMODE((places.state / 'config/users.json').stat().st_mode) == 0o600


def test_restore_of_tls_is_asked_for(places: Places) -> None:
    clear = decrypt(places, backup.create(places))
    (places.settings / 'ssl/key.pem').write_text('another key')
    services = Services()
    restore.restore(places, str(clear), tls=True, system=services)
    assert (places.settings / 'ssl/key.pem').read_text() == KEY
    assert services.calls == ['stop', 'start+nginx']


def test_restore_goes_back_when_the_application_does_not_answer(places: Places) -> None:
    clear = decrypt(places, backup.create(places))
    change(places, 'DELETE FROM vehicles')
    journal = places.state / 'data/amslpr.db-journal'
    services = Services(healthy=False)
    with pytest.raises(BackupError, match='old files are back'):
        restore.restore(places, str(clear), system=services)
    assert rows(places) == 0
    assert not journal.exists()
    assert not list(places.root.rglob('*.restored'))
    assert services.calls == ['stop', 'start', 'stop', 'start']


def tree(places: Places) -> dict[str, bytes]:
    """Content of everything that a restore could change."""
    found = {}
    for folder in (places.state, places.settings):
        for path in sorted(folder.rglob('*')):
            if path.is_file():
                found[str(path.relative_to(places.root))] = path.read_bytes()
    return found


def cut(places: Places, clear: Path, step: int) -> bool:
    """Restores in a process that ends at its nth step, as when the power goes; whether it came to its end before."""
    child = os.fork()
    if child == 0:
        left = step

        def counted(function: Any) -> Any:
            def call(*arguments: Any, **options: Any) -> Any:
                nonlocal left
                left -= 1
                if left < 0:
                    os._exit(9)
                return function(*arguments, **options)

            return call

        Path.rename = counted(Path.rename)  # type: ignore[method-assign]
        Path.unlink = counted(Path.unlink)  # type: ignore[method-assign]
        os.fsync = counted(os.fsync)
        try:
            restore.restore(places, str(clear), tls=True, system=Services())
            os._exit(0)
        except BaseException:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 9)
    return code == 0


def test_a_cut_restore_is_taken_back(places: Places, capsys: pytest.CaptureFixture[str]) -> None:
    clear = decrypt(places, backup.create(places))
    change(places, 'DELETE FROM vehicles')
    (places.state / 'config/users.json').write_text('{"users": {"later": {}}}')
    (places.state / 'config/crypto.key').unlink()
    (places.state / 'config/users.json.last').write_text('{"users": {"before": {}}}')
    before = tree(places)
    step = 0
    # The last steps remove the record: from then on the restore counts.
    while (not cut(places, clear, step) and (places.backups / '.restore.json').exists()) or step < 30:
        assert backup.main(['restore', '--after-cut'], places) == 0
        assert tree(places) == before, f'cut at step {step}'
        assert not (places.backups / '.restore').exists()
        step += 1
    assert step > 50
    assert rows(places) == 1000
    restored = tree(places)
    assert backup.main(['restore', '--after-cut'], places) == 0
    assert tree(places) == restored
    assert 'No restore was cut off' in capsys.readouterr().out


def test_the_next_restore_takes_a_cut_one_back_first(places: Places) -> None:
    clear = decrypt(places, backup.create(places))
    change(places, 'DELETE FROM vehicles')
    assert not cut(places, clear, 40)
    said = restore.restore(places, str(clear), system=Services())
    assert rows(places) == 1000
    with closing(sqlite3.connect(Path(said.split()[-1]) / 'var/lib/amslpr/data/amslpr.db')) as database:
        assert database.execute('SELECT count(*) FROM vehicles').fetchone()[0] == 0


def test_check_only_changes_nothing(places: Places) -> None:
    clear = decrypt(places, backup.create(places))
    change(places, 'DELETE FROM vehicles')
    services = Services()
    assert 'Could restore' in restore.restore(places, str(clear), check_only=True, system=services)
    assert rows(places) == 0
    assert services.calls == []


def rewrite(clear: Path, edit: Callable[[str, bytes], tuple[str, bytes] | None], kind: bytes = tarfile.REGTYPE) -> None:
    """Changes the members of a decrypted backup."""
    with tarfile.open(clear) as tar:
        members = [(member.name, (tar.extractfile(member) or io.BytesIO()).read()) for member in tar]
    with tarfile.open(clear, 'w:gz') as tar:
        for name, data in members:
            edited = edit(name, data)
            if edited is not None:
                info = tarfile.TarInfo(edited[0])
                info.size = len(edited[1])
                tar.addfile(info, io.BytesIO(edited[1]))


@pytest.mark.parametrize(
    ('edit', 'message'),
    [
        (lambda name, data: (name, data + b'x') if 'users' in name else (name, data), 'not as the manifest says'),
        (lambda name, data: None if 'users' in name else (name, data), 'not as the manifest says'),
        (lambda name, data: None if 'manifest' in name else (name, data), 'no manifest'),
        (lambda name, data: ('../../etc/passwd' if 'users' in name else name, data), 'does not belong'),
        (lambda name, data: ('/etc/passwd' if 'users' in name else name, data), 'does not belong'),
        (lambda name, data: ('tls/key.pem' if 'users' in name else name, data), 'twice'),
        (lambda name, data: (name, data.replace(b'"format": 1', b'"format": 9')), 'has format 9'),
    ],
)
def test_restore_refuses_what_is_no_whole_backup(places: Places, edit: Any, message: str) -> None:
    clear = decrypt(places, backup.create(places))
    rewrite(clear, edit)
    services = Services()
    with pytest.raises(BackupError, match=message):
        restore.restore(places, str(clear), system=services)
    assert services.calls == []
    assert rows(places) == 1000


@pytest.mark.parametrize('cut', [0, 10, 500])
def test_restore_refuses_half_a_file(places: Places, cut: int) -> None:
    clear = decrypt(places, backup.create(places))
    clear.write_bytes(clear.read_bytes()[:cut])
    with pytest.raises(BackupError, match='not a decrypted backup'):
        restore.restore(places, str(clear), system=Services())


def test_restore_refuses_the_encrypted_archive(places: Places, capsys: pytest.CaptureFixture[str]) -> None:
    name = backup.create(places)
    assert backup.main(['restore', str(places.backups / (name + SUFFIX))], places) == 1
    assert 'not a decrypted backup' in capsys.readouterr().err


def test_restore_does_not_write_through_a_link(places: Places) -> None:
    clear = decrypt(places, backup.create(places))
    (places.state / 'config').rename(places.state / 'real')
    (places.state / 'config').symlink_to(places.root / 'etc')
    with pytest.raises(BackupError, match='is a link'):
        restore.restore(places, str(clear), system=Services())


def test_one_at_a_time(places: Places) -> None:
    with backup.exclusive(places), pytest.raises(BackupError, match='is running'):
        backup.create(places)
