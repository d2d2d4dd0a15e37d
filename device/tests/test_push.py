"""Backups get off the card: whole, once, to the server that is meant and no other, or somebody is told."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from backup_device import make_device
from sftp_server import SftpServer, make_key

from amslpr_device import backup, cli, restore, service
from amslpr_device.backup_places import SUFFIX, BackupError, Places, alone
from amslpr_device.backup_records import copies, last_copy, read_record, write_record
from amslpr_device.context import Context
from amslpr_device.files import write_record as write_settings
from amslpr_device.monitor import command as monitor
from amslpr_device.monitor import digest, facts
from amslpr_device.push import command, send, settings
from amslpr_device.push.sftp import NotCopied
from amslpr_device.steps import site

GOOD = 'server: backup.example\nuser: gate\npath: /backups/gate-north\nhost_keys:\n  - {key}\n'


@pytest.fixture
def ctx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    """A device with application and open data; its root is as in the tests of backups."""
    places = make_device(tmp_path)
    made = Context(places.root)
    for path in ('data', 'var/spool/amslpr', 'run/amslpr-device', 'var/lib/amslpr-device'):
        made.at(path).mkdir(parents=True, exist_ok=True)
    monkeypatch.setattr(Context, 'is_mounted', lambda self, path: path == '/data')
    monkeypatch.setattr(site, 'recall', lambda ctx: True)
    monkeypatch.setattr('amslpr_device.files.give', lambda path, owner: None)
    # The account of the application is not there, so nothing is given to it.
    monkeypatch.setattr(os, 'geteuid', lambda: 1000)
    return made


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SftpServer]:
    found = SftpServer(tmp_path / 'server')
    yield found
    found.stop()


def archive(ctx: Context, number: int, content: bytes = b'age-encryption.org/v1\n') -> str:
    """An archive with its record: what is in it is of no matter here."""
    places = Places(ctx.root)
    name = f'amslpr-20260701T02000{number}Z'
    (places.backups / (name + SUFFIX)).write_bytes(content + str(number).encode())
    write_record(places, {'name': name, 'number': number})
    return name


def set_up(ctx: Context, server: SftpServer, **other: Any) -> settings.Server:
    """What `push set` would write: a site cannot name this machine itself. The operator authorises the key."""
    settings.make_key(ctx)
    server.authorize(settings.authorized_line(ctx))
    found = {
        'server': '127.0.0.1',
        'port': str(server.port),
        'user': server.user,
        'path': str(server.files),
        'host_keys': [server.host_key],
        **other,
    }
    write_settings(settings.file(ctx), found)
    made = settings.settings(ctx)
    assert made is not None
    return made


def names(server: SftpServer) -> list[str]:
    return sorted(path.name for path in server.files.iterdir())


def give(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr('sys.stdin', io.TextIOWrapper(io.BytesIO(text.encode())))


def test_a_real_backup_is_copied_byte_for_byte_and_once(ctx: Context, server: SftpServer) -> None:
    there, places = set_up(ctx, server), Places(ctx.root)
    name = backup.create(places)
    before = read_record(places, name)
    said: list[str] = []
    assert send.everything(ctx, there, said.append) == 1
    assert names(server) == [f'{name}.json', name + SUFFIX]
    assert (server.files / (name + SUFFIX)).read_bytes() == (places.backups / (name + SUFFIX)).read_bytes()
    assert json.loads((server.files / f'{name}.json').read_text()) == before
    assert [one['to'] for one in copies(places, name)] == [there.to]
    assert {**read_record(places, name), 'copies': None} == {**before, 'copies': None}
    assert backup.verify(places, name) == ''
    stamps = [path.stat().st_mtime_ns for path in server.files.iterdir()]
    # With everything there the server is not even asked.
    server.stop()
    assert send.everything(ctx, there, said.append) == 0
    assert said == [f'{name} is copied to {there.to}']
    assert [path.stat().st_mtime_ns for path in server.files.iterdir()] == stamps


def test_all_that_is_unsent_goes_the_oldest_first(ctx: Context, server: SftpServer) -> None:
    there = set_up(ctx, server)
    made = [archive(ctx, number) for number in (1, 2, 3)]
    said: list[str] = []
    assert send.everything(ctx, there, said.append) == 3
    assert [line.split()[0] for line in said] == made
    assert last_copy(Places(ctx.root))['name'] == made[-1]
    # Another server has nothing yet.
    (server.files / 'other').mkdir()
    assert send.everything(ctx, set_up(ctx, server, path=f'{server.files}/other'), said.append) == 3


def test_a_host_key_that_is_not_pinned_gets_nothing(ctx: Context, server: SftpServer, tmp_path: Path) -> None:
    name = archive(ctx, 1)
    for kind in ('ed25519', 'rsa'):
        there = set_up(ctx, server, host_keys=[make_key(tmp_path / kind, kind)])
        with pytest.raises(NotCopied, match='none of the host keys that are pinned'):
            send.everything(ctx, there, print)
    assert names(server) == [] and copies(Places(ctx.root), name) == []
    assert 'pinned' in settings.note(ctx)['error']
    # One of several is enough.
    there = set_up(ctx, server, host_keys=[make_key(tmp_path / 'old'), server.host_key])
    assert send.everything(ctx, there, print) == 1
    assert settings.note(ctx) == {}


def test_what_is_wrong_is_told_in_words(ctx: Context, server: SftpServer, tmp_path: Path) -> None:
    archive(ctx, 1)

    def why(**other: Any) -> str:
        there = set_up(ctx, server, **other)
        with pytest.raises(NotCopied) as error:
            send.everything(ctx, there, print)
        assert settings.note(ctx)['error'] == str(error.value)
        return str(error.value)

    assert f'has no folder {tmp_path}/nowhere' in why(path=f'{tmp_path}/nowhere')
    assert 'has no folder' in why(path=str(server.folder / 'host'))
    server.start('-R')
    assert 'may not write to' in why()
    server.stop()
    assert 'cannot be reached' in why()
    server.start()
    there = set_up(ctx, server)
    server.authorize(make_key(tmp_path / 'other'))
    with pytest.raises(NotCopied, match=r'does not let \w+ in with the key of this device'):
        send.everything(ctx, there, print)
    assert names(server) == []


def test_a_full_server_is_told_and_tried_again(ctx: Context, server: SftpServer) -> None:
    there = set_up(ctx, server)
    name = archive(ctx, 1, b'x' * 100_000)
    # The kernel's own answer of a full disk.
    part = server.files / f'.{name}{SUFFIX}.part'
    part.symlink_to('/dev/full')
    with pytest.raises(NotCopied, match='is it full'):
        send.everything(ctx, there, print)
    assert copies(Places(ctx.root), name) == []
    part.unlink()
    assert send.everything(ctx, there, print) == 1


def test_an_upload_that_was_cut_is_done_again(ctx: Context, server: SftpServer) -> None:
    there = set_up(ctx, server)
    name = archive(ctx, 1, os.urandom(300_000))
    whole = (Places(ctx.root).backups / (name + SUFFIX)).read_bytes()
    (server.files / f'.{name}{SUFFIX}.part').write_bytes(b'other' + whole[:1000])
    assert send.everything(ctx, there, print) == 1
    assert (server.files / (name + SUFFIX)).read_bytes() == whole
    # Cut after the rename, or before the note: it is found there, and not sent again.
    other = archive(ctx, 2)
    (server.files / (other + SUFFIX)).write_bytes((Places(ctx.root).backups / (other + SUFFIX)).read_bytes())
    assert send.everything(ctx, there, print) == 1
    assert names(server) == sorted(one + end for one in (name, other) for end in (SUFFIX, '.json'))


def test_a_connection_that_breaks_in_the_middle(ctx: Context, server: SftpServer) -> None:
    there = set_up(ctx, server)
    name = archive(ctx, 1, b'\0' * (64 << 20))
    part = server.files / f'.{name}{SUFFIX}.part'

    def cut() -> None:
        while not part.exists() or part.stat().st_size < 100_000:
            time.sleep(0.001)
        assert server.child is not None
        children = subprocess.run(
            ['pgrep', '-P', str(server.child.pid)], capture_output=True, text=True, check=False
        ).stdout.split()
        for child in children:
            subprocess.run(['kill', '-9', child], check=False)

    cutter = threading.Thread(target=cut)
    cutter.start()
    with pytest.raises(NotCopied):
        send.everything(ctx, there, print)
    cutter.join()
    assert names(server) == [part.name] and copies(Places(ctx.root), name) == []
    assert send.everything(ctx, there, print) == 1
    assert (server.files / (name + SUFFIX)).stat().st_size == (64 << 20) + 1


def test_another_file_on_the_server_is_not_overwritten(ctx: Context, server: SftpServer) -> None:
    name = archive(ctx, 1)
    (server.files / (name + SUFFIX)).write_text('of another device')
    for options in ('', '-P remove,rmdir,posix-rename'):
        server.start(options)
        with pytest.raises(NotCopied, match='nothing is overwritten'):
            send.everything(ctx, set_up(ctx, server), print)
    assert (server.files / (name + SUFFIX)).read_text() == 'of another device'


def test_a_name_that_is_taken_meanwhile_is_refused_by_the_server(ctx: Context, server: SftpServer) -> None:
    from amslpr_device.push import sftp

    server.start('')
    there, name = set_up(ctx, server), archive(ctx, 1)
    (server.files / (name + SUFFIX)).write_text('first')
    with pytest.raises(NotCopied):
        sftp.session(ctx, there, sftp.upload(name + SUFFIX), Places(ctx.root).backups, 30)
    assert (server.files / (name + SUFFIX)).read_text() == 'first'


def test_an_archive_that_went_meanwhile_gets_no_record(
    ctx: Context, server: SftpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    places, there = Places(ctx.root), set_up(ctx, server)
    gone, kept = archive(ctx, 1), archive(ctx, 2)
    sizes = send.sftp.sizes

    def prune(listing: str) -> dict[str, int]:
        backup.prune(places, 1)
        return sizes(listing)

    monkeypatch.setattr(send.sftp, 'sizes', prune)
    assert send.everything(ctx, there, print) == 1
    assert not (places.backups / f'{gone}.json').exists()
    assert names(server) == [f'{kept}.json', kept + SUFFIX]


def test_no_copy_is_sent_beside_a_restore_but_backups_go_on(ctx: Context, server: SftpServer) -> None:
    places, there = Places(ctx.root), set_up(ctx, server)
    archive(ctx, 1)
    with alone(places, 'busy'):
        with pytest.raises(BackupError, match='a restore is running'):
            send.everything(ctx, there, print)
        with pytest.raises(BackupError, match='stop amslpr-backup-push'):
            restore.restore(places, '-')
        assert command.main(['send'], ctx) == 0
        backup.create(places)
    assert names(server) == [] and settings.note(ctx) == {}


@pytest.mark.parametrize('record', ['', '[]', '{"copies": "x"}', '{"copies": ["x"], "name": "../../x"}'])
def test_a_record_that_is_broken_harms_nothing(ctx: Context, server: SftpServer, record: str) -> None:
    places, there, name = Places(ctx.root), set_up(ctx, server), archive(ctx, 1)
    (places.backups / f'{name}.json').write_text(record)
    send.everything(ctx, there, print)
    assert all(path.parent == server.files for path in server.folder.rglob('*.json'))


def test_set_makes_a_key_of_the_device_and_prints_what_to_authorise(
    ctx: Context, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], server: SftpServer
) -> None:
    give(monkeypatch, GOOD.format(key=server.host_key))
    assert command.main(['set'], ctx) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith('restrict,'))
    assert line.startswith('restrict,command="internal-sftp" ssh-ed25519 AAAA')
    assert settings.key_file(ctx).stat().st_mode & 0o777 == 0o600
    # Nothing of it lies anywhere else, and the same key is told again.
    assert list(ctx.run_folder.iterdir()) == []
    give(monkeypatch, GOOD.format(key=server.host_key))
    assert command.main(['set'], ctx) == 0 and command.main(['key'], ctx) == 0
    assert capsys.readouterr().out.count(line) == 2
    assert command.main(['show'], ctx) == 0
    out = capsys.readouterr().out
    assert 'Server: sftp://gate@backup.example:22/backups/gate-north' in out
    assert 'Host keys: 1 pinned' in out and 'none ever' in out


def test_a_copy_of_a_card_that_lost_its_key_says_so_and_gets_another(
    ctx: Context, server: SftpServer, capsys: pytest.CaptureFixture[str]
) -> None:
    there = set_up(ctx, server)
    before = settings.authorized_line(ctx)
    settings.key_file(ctx).unlink()
    # Nothing is unsent, and still it says so at once.
    assert command.main(['send'], ctx) == 0
    assert 'this device has no key for 127.0.0.1 yet' in settings.note(ctx)['error']
    (problem,) = facts.push(ctx, {}, time.time() + 3700)
    assert 'backup push key makes one' in problem.text
    assert command.main(['key'], ctx) == 0
    line = capsys.readouterr().out.strip().splitlines()[-1]
    assert line.startswith('restrict,command="internal-sftp" ssh-ed25519') and line != before
    server.authorize(line)
    assert send.everything(ctx, there, print) == 0 and settings.note(ctx) == {}


@pytest.mark.parametrize(
    ('old', 'new', 'line', 'said'),
    [
        ('backup.example', '-oProxyCommand=id', 1, 'no DNS name'),
        ('backup.example', 'user@backup.example', 1, 'no DNS name'),
        ('gate\n', '-l root\n', 2, 'no account name'),
        ('gate\n', 'gate;id\n', 2, 'no account name'),
        ('/backups/gate-north', 'backups', 3, 'no absolute folder'),
        ('/backups/gate-north', '/backups/../etc', 3, 'no absolute folder'),
        ('/backups/gate-north', '"/a\\n!id"', 3, 'no absolute folder'),
        ('/backups/gate-north', '/a b', 3, 'no absolute folder'),
        ('/backups/gate-north', '/a/', 3, 'no absolute folder'),
        ('host_keys:\n', 'host_keys:\n  - "@cert-authority * ssh-ed25519 AAAA"\n', 5, 'are not taken'),
        ('host_keys:\n', 'host_keys:\n  - backup.example ssh-ed25519 AAAA\n', 5, 'begins with its type'),
        ('host_keys:\n', 'host_keys:\n  - ssh-dss AAAA\n', 5, 'are not taken'),
        ('host_keys:\n', 'host_keys:\n  - ssh-ed25519 AAAA\n', 5, 'cut short'),
        ('user: gate', 'port: 0\nuser: gate', 2, 'no port'),
        ('user: gate', 'password: x\nuser: gate', 2, 'is not known'),
    ],
)
def test_hostile_settings_change_nothing(
    ctx: Context, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], old: str, new: str, line: int, said: str  # noqa: E501
) -> None:  # fmt: skip
    key = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0pt6YyjzyuNU6YEfXU9mnLrVfXlbMPo4V6sX3dwC9K'
    give(monkeypatch, GOOD.format(key=key).replace(old, new, 1))
    assert command.main(['set'], ctx) == 1
    told = capsys.readouterr().err
    assert f'line {line}: ' in told and said in told and 'nothing was changed' in told
    assert not settings.is_set(ctx) and not settings.key_file(ctx).exists()


def test_every_problem_is_told_at_once(
    ctx: Context, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    give(monkeypatch, 'server: -x\nport: 0\nuser: .\npath: x\nhost_keys:\n  - x\n')
    assert command.main(['set'], ctx) == 1
    told = capsys.readouterr().err
    assert all(f'line {number}: ' in told for number in (1, 2, 3, 4, 6))


def test_settings_that_were_spoilt_are_told(ctx: Context, capsys: pytest.CaptureFixture[str]) -> None:
    settings.file(ctx).write_text('["by FTP"]')
    assert command.main(['show'], ctx) == 1
    assert command.main(['send'], ctx) == 0
    assert 'cannot be read' in settings.note(ctx)['error']
    assert 'cannot be read' in capsys.readouterr().err


def test_off_sends_nothing_any_more(ctx: Context, server: SftpServer, capsys: pytest.CaptureFixture[str]) -> None:
    set_up(ctx, server)
    assert command.main(['off'], ctx) == 0
    archive(ctx, 1)
    assert command.main(['send'], ctx) == 0 and command.main(['test'], ctx) == 1
    assert names(server) == []
    assert 'no backup is copied to a server' in capsys.readouterr().out


def test_the_test_asks_the_server_also_when_nothing_is_unsent(
    ctx: Context, server: SftpServer, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up(ctx, server)
    assert command.main(['test'], ctx) == 0
    assert 'took 0 backups' in capsys.readouterr().out
    archive(ctx, 1)
    assert command.main(['test'], ctx) == 0
    assert 'took 1 backups' in capsys.readouterr().out
    server.stop()
    assert command.main(['test'], ctx) == 1
    assert 'cannot be reached' in capsys.readouterr().err


def test_what_was_fetched_is_a_copy(ctx: Context, tmp_path: Path) -> None:
    places, name = Places(ctx.root), archive(ctx, 1)
    device = Path(backup.__file__).parents[1]
    command_line = [sys.executable, '-m', 'amslpr_device.backup', 'cat', name]
    env = {**os.environ, 'PYTHONPATH': str(device), 'AMSLPR_ROOT': str(ctx.root)}
    # A file on the device is no copy off its card, nor is half an archive.
    with (tmp_path / 'file').open('wb') as file:
        subprocess.run(command_line, env=env, stdout=file, check=True)
    (places.backups / (name + SUFFIX)).write_bytes(b'x' * 1_000_000)
    with subprocess.Popen(command_line, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as cut:
        assert cut.stdout is not None
        cut.stdout.read(10)
        cut.stdout.close()
    assert cut.returncode != 0 and copies(places, name) == []
    for _ in range(2):
        found = subprocess.run(command_line, env=env, capture_output=True, check=True).stdout
        assert found == (places.backups / (name + SUFFIX)).read_bytes()
    assert [one['to'] for one in copies(places, name)] == ['the operator']
    assert last_copy(places)['name'] == name


def test_the_warning_is_there_until_a_copy_is_elsewhere(ctx: Context, server: SftpServer) -> None:
    now = time.time()

    def told(later: float = 0) -> list[str]:
        looks = [*facts.copy(ctx, monitor.DEFAULTS, now + later), *facts.push(ctx, monitor.DEFAULTS, now + later)]
        return [one.key for one in looks]

    def warned() -> bool:
        return 'has ever been copied off this card' in cli.readable(json.dumps(service.facts(ctx)))

    (ctx.state / 'ready').write_text('')
    assert told() == [] and not warned()
    archive(ctx, 1)
    assert told() == [] and warned()
    os.utime(ctx.state / 'ready', (now - 3 * facts.DAY, now - 3 * facts.DAY))
    assert told() == ['copy'] and warned()
    assert 'Newest copy off this card: none ever' in digest.text(ctx, monitor.DEFAULTS, now)

    there = set_up(ctx, server, path='/nowhere')
    with pytest.raises(NotCopied):
        send.everything(ctx, there, print)
    assert told() == ['copy'] and told(2 * facts.HOUR) == ['copy', 'push']
    send.everything(ctx, set_up(ctx, server), print)
    assert told(2 * facts.HOUR) == [] and not warned()
    assert f'to sftp://{server.user}@127.0.0.1' in digest.text(ctx, monitor.DEFAULTS, now)
    # A copy of long ago is none of what happened since; that there was one is remembered.
    assert told(9 * facts.DAY) == ['copy']
    backup.prune(Places(ctx.root), 1)
    assert not warned()


def test_the_key_of_the_device_never_leaves_in_a_support_bundle(ctx: Context, server: SftpServer) -> None:
    from amslpr_device.incident import known_secrets

    set_up(ctx, server)
    secret = settings.key_file(ctx).read_text().splitlines()[2]
    assert known_secrets.leaks(ctx, f'x {secret} y'.encode()) == '/etc/amslpr/secrets/backup-push-key'
    assert known_secrets.leaks(ctx, settings.authorized_line(ctx).split()[2].encode()) == ''
    assert known_secrets.leaks(ctx, settings.file(ctx).read_bytes()) == ''
