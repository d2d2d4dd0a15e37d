"""Mail leaves by TLS to a relay whose name and authority are checked, or waits; against a real TLS server."""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from relay import Relay, authority

from amslpr_device.context import Context
from amslpr_device.files import write_record
from amslpr_device.mail import command, relay, send, spool
from amslpr_device.steps import site

# Real cryptsetup, age, databases, networks: with all others in ci/test, not before each commit.
pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    return authority(tmp_path_factory.mktemp('ca'))


@pytest.fixture
def server(certificates: tuple[Path, Path, Path]) -> Iterator[Relay]:
    with Relay(*certificates[1:]) as found:
        yield found
        found.shutdown()


@pytest.fixture
def opened(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> Context:
    """A device whose data is open: one file system, and /data counts as mounted."""
    for path in ('data', 'var/spool/amslpr', 'etc/amslpr/secrets'):
        ctx.at(path).mkdir(parents=True, exist_ok=True)
    monkeypatch.setattr(Context, 'is_mounted', lambda self, path: path == '/data')
    monkeypatch.setattr(site, 'recall', lambda ctx: True)
    return ctx


def set_up(ctx: Context, server: Relay, ca: Path) -> relay.Relay:
    """The relay as an operator sets it, with its authority and password."""
    lines = ['server: relay.example', f'port: {server.port}', 'user: gate', 'from: gate@a.example', 'to:']
    lines += ['  - alex@b.example', '  - kim@b.example', f'security: {"starttls" if server.starttls else "tls"}']
    assert relay.keep(ctx, '\n'.join(lines).encode()) == []
    # A site cannot name this machine itself; a test has no other.
    write_record(relay.folder(ctx) / 'mail.json', {**relay.record(ctx), 'server': '127.0.0.1'})
    relay.keep_password(ctx, 'secret')
    relay.keep_ca(ctx, ca.read_text())
    found = relay.relay(ctx)
    assert found is not None
    return found


def test_a_message_arrives(opened: Context, server: Relay, certificates: tuple[Path, Path, Path]) -> None:
    found = set_up(opened, server, certificates[0])
    spool.add(opened, '[gate] alert:\nBcc: evil@x.example', 'Größe: 90 % full\n.\nend')
    assert send.everything(opened, found) == 1
    ((sender, to, text),) = server.taken
    assert (sender, to) == ('gate@a.example', ['alex@b.example', 'kim@b.example'])
    # A line end in a subject is no way to add a header.
    assert 'Subject: [gate] alert: Bcc: evil@x.example' in text and '\nBcc:' not in text
    assert 'Auto-Submitted: auto-generated' in text and 'Message-ID: <' in text
    assert spool.waiting(opened) == []


def test_starttls_is_demanded(opened: Context, certificates: tuple[Path, Path, Path]) -> None:
    with Relay(*certificates[1:], starttls=True) as server:
        found = set_up(opened, server, certificates[0])
        spool.add(opened, 'one', 'text')
        assert send.everything(opened, found) == 1
        server.offers = False
        spool.add(opened, 'two', 'text')
        with pytest.raises(send.NotSent, match='offers no encryption'):
            send.everything(opened, found)
        assert len(server.taken) == 1
        server.shutdown()


def test_another_authority_is_not_believed(opened: Context, server: Relay, tmp_path: Path) -> None:
    other = tmp_path / 'other'
    other.mkdir()
    found = set_up(opened, server, authority(other)[0])
    spool.add(opened, 'x', 'y')
    with pytest.raises(send.NotSent, match='is not believed') as told:
        send.everything(opened, found)
    assert 'mail ca' in told.value.hint and server.taken == [] and len(spool.waiting(opened)) == 1


def test_without_an_own_one_the_authority_is_not_believed(
    opened: Context, server: Relay, certificates: tuple[Path, Path, Path]
) -> None:
    set_up(opened, server, certificates[0])
    (relay.folder(opened) / 'mail-ca.pem').unlink()
    found = relay.relay(opened)
    assert found is not None and found.ca is None
    spool.add(opened, 'x', 'y')
    with pytest.raises(send.NotSent, match='is not believed'):
        send.everything(opened, found)


def test_another_name_is_not_believed(opened: Context, tmp_path: Path) -> None:
    ca, cert, key = authority(tmp_path, 'DNS:other.example')
    with Relay(cert, key) as server:
        found = set_up(opened, server, ca)
        spool.add(opened, 'x', 'y')
        with pytest.raises(send.NotSent, match='is not believed'):
            send.everything(opened, found)
        assert server.taken == []
        server.shutdown()


def test_a_wrong_password_is_told(
    opened: Context, server: Relay, certificates: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    set_up(opened, server, certificates[0])
    relay.keep_password(opened, 'wrong')
    assert command.main(['test'], opened) == 1
    said = capsys.readouterr().err
    assert 'does not let gate in 535' in said and 'mail password' in said
    # What a person tried is not sent later.
    assert spool.waiting(opened) == []


def test_what_was_not_taken_waits_longer_each_time(
    opened: Context, server: Relay, certificates: tuple[Path, Path, Path]
) -> None:
    found = set_up(opened, server, certificates[0])
    server.shutdown()
    server.server_close()
    spool.add(opened, 'x', 'y')
    waits = []
    for _ in range(8):
        with pytest.raises(send.NotSent, match='cannot be reached'):
            send.everything(opened, found, now=True)
        waits.append(round((spool.note(opened)['next'] - time.time()) / 60))
    assert waits == [5, 10, 20, 40, 80, 160, 240, 240]
    # Before its time the relay is not asked, and nothing is written.
    before = (opened.at(spool.PLACE) / 'mail.json').stat().st_mtime_ns
    assert send.everything(opened, found) == 0
    assert (opened.at(spool.PLACE) / 'mail.json').stat().st_mtime_ns == before


def test_one_bad_message_does_not_keep_the_others(
    opened: Context, server: Relay, certificates: tuple[Path, Path, Path]
) -> None:
    found = set_up(opened, server, certificates[0])
    server.refuse_data = 'poison'
    for text in ('first', 'poison', 'last'):
        spool.add(opened, 'x', text)
    with pytest.raises(send.NotSent, match='refused a message: 552'):
        send.everything(opened, found)
    assert [text.rsplit('\r\n', 2)[-2] for _, _, text in server.taken] == ['first', 'last']
    (left,) = spool.waiting(opened)
    assert b'poison' in left.read_bytes()


def test_the_spool_is_bounded(opened: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, 'MOST', 5)
    for number in range(8):
        spool.add(opened, f'number {number}', 'x')
    found = [path.read_text() for path in spool.waiting(opened)]
    assert len(found) == 5
    assert 'number 3' in found[0] and 'older messages were lost' in found[-1]
    big = spool.add(opened, 'big', 'x' * (1 << 20))
    assert big.stat().st_size < 80 << 10
    monkeypatch.setattr(spool, 'MOST_BYTES', 1000)
    assert spool.trim(opened) > 0 and sum(path.stat().st_size for path in spool.waiting(opened)) <= 1000


def test_a_clock_that_was_set_loses_no_message(opened: Context) -> None:
    path = spool.add(opened, 'old', 'x')
    os.utime(path, (0, 0))
    assert spool.trim(opened) == 0 and spool.waiting(opened) == [path]


def test_closed_data_has_no_spool(opened: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Context, 'is_mounted', lambda self, path: False)
    assert command.main(['test'], opened) == 1
    assert command.main(['send'], opened) == 0
    assert not (opened.at(spool.PLACE) / 'mail').exists()


@pytest.mark.parametrize(
    ('text', 'says'),
    [
        ('server: relay.example\nfrom: a@b.example', '`mail.to` is missing'),
        ('server: Relay!\nfrom: a@b.example\nto:\n  - c@d.example', 'is no DNS name'),
        ('server: relay.example\npassword: x\nfrom: a@b.example\nto:\n  - c@d.example', '`mail.password` is not known'),
        ('', 'says nothing'),
        ('just text', 'is a map'),
    ],
)
def test_a_relay_that_is_not_good_changes_nothing(
    opened: Context, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str, says: str
) -> None:
    monkeypatch.setattr('sys.stdin', io.TextIOWrapper(io.BytesIO(text.encode())))
    assert command.main(['set'], opened) == 1
    assert says in capsys.readouterr().err
    assert relay.record(opened) == {}


def test_the_relay_of_the_site_file_gets_its_password_on_the_device(
    opened: Context, server: Relay, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened.site['mail'] = {'server': 'smtp.example', 'user': 'gate', 'from': 'a@b.example', 'to': ['c@d.example']}
    found = relay.relay(opened)
    assert found is not None and (found.port, found.security, found.password) == (465, 'tls', '')
    monkeypatch.setattr('sys.stdin', io.StringIO('geheim\n'))
    assert command.main(['password'], opened) == 0
    again = relay.relay(opened)
    assert again is not None and (again.server, again.password) == ('smtp.example', 'geheim')
    path = relay.folder(opened) / 'mail.json'
    assert path.stat().st_mode & 0o777 == 0o600 and json.loads(path.read_text())['password'] == 'geheim'
    capsys.readouterr()
    assert command.main(['show'], opened) == 0
    assert 'geheim' not in capsys.readouterr().out + repr(again)
    # Another server does not get it.
    assert relay.keep(opened, b'server: other.example\nuser: gate\nfrom: a@b.example\nto:\n  - c@d.example\n') == []
    other = relay.relay(opened)
    assert other is not None and (other.server, other.password) == ('other.example', '')
