"""Entries of the journal arrive whole and in order at a real TLS server, or wait in the journal."""

from __future__ import annotations

import io
import json
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from relay import authority

from amslpr_device.context import Context
from amslpr_device.files import write_record
from amslpr_device.logs import command, forward
from amslpr_device.mail import spool
from amslpr_device.steps import site


class Receiver:
    """A log server on loopback; with `clients` it demands a certificate of that authority."""

    def __init__(self, cert: Path, key: Path, clients: Path | None = None) -> None:
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(cert, key)
        if clients:
            self.tls.verify_mode = ssl.CERT_REQUIRED
            self.tls.load_verify_locations(clients)
        self.listening = socket.create_server(('127.0.0.1', 0))
        self.port = self.listening.getsockname()[1]
        self.data = b''
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self) -> None:
        while True:
            try:
                plain, _ = self.listening.accept()
            except OSError:
                return
            try:
                with self.tls.wrap_socket(plain, server_side=True) as connection:
                    while part := connection.recv(65536):
                        self.data += part
            except OSError:
                plain.close()

    def messages(self) -> list[str]:
        """What was framed, once all of it came."""
        time.sleep(0.3)
        found, data = [], self.data
        while data:
            size, _, data = data.partition(b' ')
            found.append(data[: int(size)].decode())
            assert len(data) >= int(size)
            data = data[int(size) :]
        return found

    def close(self) -> None:
        self.listening.close()


@pytest.fixture(scope='module')
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    return authority(tmp_path_factory.mktemp('logs-ca'))


@pytest.fixture
def receiver(certificates: tuple[Path, Path, Path]) -> Iterator[Receiver]:
    found = Receiver(*certificates[1:])
    yield found
    found.close()


@pytest.fixture
def opened(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> Context:
    for path in ('data', 'var/spool/amslpr', 'etc/amslpr/secrets'):
        ctx.at(path).mkdir(parents=True, exist_ok=True)
    monkeypatch.setattr(Context, 'is_mounted', lambda self, path: path == '/data')
    monkeypatch.setattr(site, 'recall', lambda ctx: True)
    return ctx


def set_up(ctx: Context, port: int, ca: Path) -> forward.Server:
    """A site cannot name this machine itself, so the test writes what `logs set` would."""
    write_record(ctx.at('/etc/amslpr/secrets/logs.json'), {'server': '127.0.0.1', 'port': str(port)})
    ctx.at('/etc/amslpr/secrets/logs-ca.pem').write_text(ca.read_text())
    found = forward.settings(ctx)
    assert found is not None
    return found


def entry(number: int, **more: Any) -> dict[str, Any]:
    return {
        '__CURSOR': f's=1;i={number}',
        '__REALTIME_TIMESTAMP': str(1_795_000_000_000_000 + number),
        '_HOSTNAME': 'gate',
        'SYSLOG_IDENTIFIER': 'sshd',
        '_PID': '77',
        'PRIORITY': '4',
        'SYSLOG_FACILITY': '10',
        'MESSAGE': f'entry {number}',
        **more,
    }


def journal(monkeypatch: pytest.MonkeyPatch, found: list[dict[str, Any]]) -> None:
    """What journalctl would say: all behind the cursor."""

    def read(cursor: str) -> Iterator[dict[str, Any]]:
        names = [one['__CURSOR'] for one in found]
        yield from found[names.index(cursor) + 1 if cursor else 0 :]

    monkeypatch.setattr(forward, 'entries', read)


@pytest.mark.parametrize(
    ('more', 'line'),
    [
        ({}, '<84>1 2026-11-18T11:06:40.000001Z gate sshd 77 - - entry 1'),
        ({'MESSAGE': 'a\nb <3>1 x'}, '<84>1 2026-11-18T11:06:40.000001Z gate sshd 77 - - a#012b <3>1 x'),
        ({'MESSAGE': [0xC3, 0xA4, 255]}, '<84>1 2026-11-18T11:06:40.000001Z gate sshd 77 - - ä\ufffd'),
        ({'SYSLOG_IDENTIFIER': 'a b\n"c'}, '<84>1 2026-11-18T11:06:40.000001Z gate ab"c 77 - - entry 1'),
        ({'SYSLOG_FACILITY': None, '_TRANSPORT': 'kernel', 'SYSLOG_IDENTIFIER': 'kernel', '_PID': None}, '<4>1 2026-11-18T11:06:40.000001Z gate kernel - - - entry 1'),  # noqa: E501
        ({'PRIORITY': '9', 'SYSLOG_FACILITY': '99'}, '<30>1 2026-11-18T11:06:40.000001Z gate sshd 77 - - entry 1'),
        ({'MESSAGE': None}, '<84>1 2026-11-18T11:06:40.000001Z gate sshd 77 - - '),
    ],
)  # fmt: skip
def test_an_entry_is_a_message_of_the_standard(more: dict[str, Any], line: str) -> None:
    data = forward.message(entry(1, **more))
    size, _, text = data.partition(b' ')
    assert int(size) == len(text) and text.decode() == line


def test_a_long_message_is_cut() -> None:
    assert len(forward.message(entry(1, MESSAGE='x' * 100_000))) <= forward.LONGEST + 6


def test_entries_arrive_once_and_in_order(
    opened: Context, receiver: Receiver, certificates: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = set_up(opened, receiver.port, certificates[0])
    found = [entry(number) for number in range(2500)]
    journal(monkeypatch, found)
    assert forward.everything(opened, server) == 2500
    found += [entry(2500)]
    assert forward.everything(opened, server) == 1
    assert forward.everything(opened, server) == 0
    assert [one.rsplit(' ', 1)[1] for one in receiver.messages()] == [str(number) for number in range(2501)]


def test_a_server_that_is_away_loses_nothing(
    opened: Context, receiver: Receiver, certificates: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = set_up(opened, receiver.port, certificates[0])
    journal(monkeypatch, [entry(number) for number in range(3)])
    away = set_up(opened, 1, certificates[0])
    waits = []
    for _ in range(8):
        with pytest.raises(forward.NotSent, match='cannot be reached'):
            forward.everything(opened, away, now=True)
        waits.append(round((forward.note(opened)['next'] - time.time()) / 60))
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    assert forward.everything(opened, server) == 0
    assert forward.everything(opened, server, now=True) == 3
    assert forward.note(opened) == {'cursor': 's=1;i=2'}
    # Nothing but this small note is kept on the device: the journal is the queue.
    assert [path.name for path in opened.at(spool.PLACE).iterdir()] == ['logs.json']


def test_another_authority_or_name_is_not_believed(
    opened: Context, receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal(monkeypatch, [entry(1)])
    (tmp_path / 'a').mkdir()
    with pytest.raises(forward.NotSent, match='is not believed'):
        forward.everything(opened, set_up(opened, receiver.port, authority(tmp_path / 'a')[0]))
    (tmp_path / 'b').mkdir()
    ca, cert, key = authority(tmp_path / 'b', 'DNS:other.example')
    other = Receiver(cert, key)
    with pytest.raises(forward.NotSent, match='is not believed'):
        forward.everything(opened, set_up(opened, other.port, ca), now=True)
    other.close()
    assert receiver.data == other.data == b'' and not forward.note(opened).get('cursor')


def test_a_server_may_want_a_certificate_of_the_device(
    opened: Context, certificates: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    ca, cert, key = certificates
    receiver = Receiver(cert, key, clients=ca)
    journal(monkeypatch, [entry(1)])
    with pytest.raises(forward.NotSent):
        forward.everything(opened, set_up(opened, receiver.port, ca))
    assert not forward.note(opened).get('cursor')
    monkeypatch.setattr('sys.stdin', io.StringIO(cert.read_text()))
    assert command.main(['client'], opened) == 1
    monkeypatch.setattr('sys.stdin', io.StringIO(cert.read_text() + key.read_text()))
    assert command.main(['client'], opened) == 0
    assert opened.at('/etc/amslpr/secrets/logs-client.pem').stat().st_mode & 0o777 == 0o600
    assert forward.everything(opened, set_up(opened, receiver.port, ca), now=True) == 1
    assert len(receiver.messages()) == 1
    receiver.close()


def test_the_journal_itself_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [json.dumps(entry(number)) for number in range(3)]
    program = tmp_path / 'journalctl'
    program.write_text(
        '#!/bin/sh\necho "$@" > ' + str(tmp_path / 'asked') + "\ncat <<'END'\n" + '\n'.join(lines) + '\nEND\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv('PATH', f'{tmp_path}:/usr/bin:/bin')
    assert [one['MESSAGE'] for one in forward.entries('s=1;i=0')] == ['entry 0', 'entry 1', 'entry 2']
    assert '--after-cursor=s=1;i=0' in (tmp_path / 'asked').read_text()


def test_options_of_journalctl_exist() -> None:
    said = subprocess.run(['journalctl', '--help'], capture_output=True, text=True, check=False).stdout
    if not said:
        pytest.skip('this host has no journalctl')
    for option in ('--after-cursor', '--output-fields', '--since', '--quiet', '--all'):
        assert option in said


def test_nothing_leaves_by_itself(opened: Context, capsys: pytest.CaptureFixture[str]) -> None:
    assert forward.settings(opened) is None
    assert command.main(['send'], opened) == 0
    assert command.main(['test'], opened) == 1
    opened.site['logs'] = {'server': 'logs.example'}
    assert forward.settings(opened) == forward.Server('logs.example', 6514)
    assert command.main(['off'], opened) == 0
    assert forward.settings(opened) is None


@pytest.mark.parametrize('text', ['server: https://logs.example', 'port: 1', 'server: logs.example\nport: 0', ''])
def test_a_server_that_is_not_good_changes_nothing(opened: Context, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr('sys.stdin', io.TextIOWrapper(io.BytesIO(text.encode())))
    assert command.main(['set'], opened) == 1
    assert not opened.at('/etc/amslpr/secrets/logs.json').exists()
