"""The support bundle of a device whose every secret is known here, and whose programs try to get them into it."""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
import secrets
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import site_text

from amslpr_device.context import Context
from amslpr_device.incident import known_secrets, support, support_facts

LISTED = Path(__file__).resolve().parents[2] / 'docs/secrets.md'


class Canaries:
    """Secrets, of which each may be found in no spelling."""

    def __init__(self) -> None:
        self.every: list[bytes] = []

    def new(self, size: int = 24) -> str:
        """One of letters and digits, as it stands in its file."""
        made = secrets.token_hex(size)
        self.every.append(made.encode())
        return made

    def raw(self, size: int = 32) -> bytes:
        """One of any bytes."""
        made = secrets.token_bytes(size)
        self.every.append(made)
        return made

    def seen_in(self, data: bytes) -> list[bytes]:
        """Those that are in the data in plain, hexadecimal or base64 of any alignment."""
        return [one for one in self.every if any(spelling in data for spelling in spelled(one))]


def spelled(secret: bytes) -> Iterator[bytes]:
    """By another way than the program's own."""
    yield secret
    yield secret.hex().encode()
    yield secret.hex().upper().encode()
    for before in range(3):
        text = base64.b64encode(b'\0' * before + secret + b'\0\0\0').decode()
        inner = text[4:-8]
        yield inner.encode()
        yield inner.replace('+', '-').replace('/', '_').encode()


def plant(ctx: Context, canaries: Canaries, admin_key: Path) -> None:
    """A secret of each kind, at its place."""
    new = canaries.new
    pem = '\n'.join(['-----BEGIN OPENSSH PRIVATE KEY-----', new(32), new(32), '-----END OPENSSH PRIVATE KEY-----', ''])
    hashed = f'$6$salt${new(40)}'
    site = site_text(admin_key).replace("'secret  pass\\word'", new()).replace('A' * 43, new(22)[:43])
    canaries.every.append(re.findall(r'enrolment-token: (\S+)', site)[0].encode())
    files: dict[str, str | bytes] = {
        '/etc/NetworkManager/system-connections/amslpr-wifi.nmconnection': f'[wifi-security]\npsk={new()}\n',
        '/etc/shadow': f'root:*:20000::::::\nalex:{hashed}:20000::::::\n',
        '/etc/shadow-': f'alex:$6$salt${new(40)}:20000::::::\n',
        '/etc/ssh/ssh_host_ed25519_key': pem,
        '/var/lib/NetworkManager/secret_key': canaries.raw(),
        '/var/lib/systemd/random-seed': canaries.raw(),
        '/var/lib/amslpr-device/data.json': json.dumps(
            {
                'state': 'live',
                'sudo': {'alex': f'$6$x${new(40)}'},
                'web': {'password_hash': new(32), 'salt': new(16)},
                'proof': new(16),
                'proof_digest': new(32),
            }
        ),
        '/var/lib/amslpr-device/keys/data.key': canaries.raw(),
        '/var/lib/amslpr-device/site.yaml': site,
        # Inside the encrypted partition.
        '/etc/amslpr/ssl/key.pem': f'-----BEGIN PRIVATE KEY-----\n{new(24)}\n-----END PRIVATE KEY-----\n',
        '/etc/amslpr/secrets/app.env': f'FLASK_SECRET_KEY={new()}\n',
        '/etc/amslpr/secrets/relay': f'user alex password {new()}\n',
        '/var/lib/amslpr/config/crypto.key': new(),
        '/var/lib/amslpr/config/users.json': json.dumps({'users': {'admin': {'password_hash': new(), 'salt': new()}}}),
        '/etc/amslpr/config.json': json.dumps({'camera': {'url': f'rtsp://root:{new()}@192.0.2.9/'}}),
        '/run/amslpr-device/passphrase': new(),
    }
    for path, content in files.items():
        place = ctx.at(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content.encode() if isinstance(content, str) else content)


HOSTILE = """#!/usr/bin/python3
import os, sys
spoken = os.environ['CANARIES'].split()
for one in spoken:
    if sys.argv[0].endswith('systemctl'):
        print(f'{one}.service loaded active running {one}')
        print(f'ssh.service loaded {one} running {one}')
        print(f'amslpr-alert@{one}.service loaded failed failed {one}')
    elif sys.argv[0].endswith('dpkg-query'):
        print(f'{one} {one}\\tnot a version\\tii ')
        print(f'libc6\\t{one[:5]} {one}\\tii ')
    else:
        import json
        fields = {'__REALTIME_TIMESTAMP': one, 'UNIT': f'{one}.service', '_SYSTEMD_UNIT': one, 'MESSAGE': one,
                  'MESSAGE_ID': 'd9b373ed55a64feb8242e02dbe79a49c', 'EXIT_STATUS': one, 'EXIT_CODE': one,
                  'PRIORITY': one}
        print(json.dumps(fields))
        print(json.dumps({**fields, 'UNIT': 'ssh.service', '_SYSTEMD_UNIT': 'ssh.service', 'PRIORITY': '3'}))
        print(one)
"""


@pytest.fixture
def canaries() -> Canaries:
    """None yet."""
    return Canaries()


@pytest.fixture
def device(
    ctx: Context, canaries: Canaries, admin_key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Context:
    """Every secret at its place, and every program and file that is asked says all of them wherever it can."""
    plant(ctx, canaries, admin_key)
    spoken = ' '.join(one.decode('latin-1') if one.isalnum() else one.hex() for one in canaries.every)
    monkeypatch.setenv('CANARIES', spoken)
    programs = tmp_path / 'programs'
    programs.mkdir()
    for name in ('systemctl', 'dpkg-query', 'journalctl'):
        (programs / name).write_text(HOSTILE)
        (programs / name).chmod(0o755)
    monkeypatch.setenv('PATH', f'{programs}:/usr/bin:/bin')
    for path, text in {
        '/usr/lib/systemd/system/ssh.service': '',
        '/etc/systemd/system/amslpr-alert@.service': '',
        f'/etc/systemd/system/{spoken.split()[0]}.service': '',
        '/run/amslpr-device/status.json': json.dumps(
            {'state': 'failed', 'step': spoken[:20], 'message': spoken, 'hint': spoken}
        ),
        '/usr/share/amslpr/image.json': json.dumps({'name': spoken, 'digest': 'ab' * 32, 'options': {'x': spoken}}),
        '/proc/device-tree/model': spoken,
        '/proc/loadavg': spoken,
        '/etc/debian_version': '13.8\n',
        '/etc/machine-id': spoken,
        '/etc/hostname': spoken,
        '/sys/class/net/eth0/operstate': spoken,
        '/sys/class/net/eth0/mtu': '1500\n',
    }.items():
        ctx.at(path).parent.mkdir(parents=True, exist_ok=True)
        ctx.at(path).write_text(text)
    return ctx


def members(data: bytes) -> dict[str, bytes]:
    """Every member by its name."""
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(data))) as archive:
        return {one.name: file.read() for one in archive if (file := archive.extractfile(one))}


def test_holds_no_secret_however_programs_try(device: Context, canaries: Canaries) -> None:
    out = io.BytesIO()
    assert support.main(device, [], out) == 0
    assert canaries.seen_in(gzip.decompress(out.getvalue())) == []


def test_says_which_checks_pass_and_nothing_that_they_saw(device: Context, canaries: Canaries) -> None:
    spoken = ' '.join(one.decode('latin-1') if one.isalnum() else one.hex() for one in canaries.every)
    asked = {'title': spoken, 'guide': [], 'run': ['printf', '%s', spoken]}
    every = [
        {'id': 'one/passes', **asked, 'matches': [spoken]},
        {'id': 'one/fails', **asked, 'lacks': [spoken]},
        {'id': f'one/{spoken}', **asked},
    ]
    device.at('/usr/share/amslpr/checks.json').write_text(json.dumps(every))
    out = io.BytesIO()
    assert support.main(device, ['--checks'], out) == 0
    assert json.loads(members(out.getvalue())['checks.json']) == {'one/passes': 'pass', 'one/fails': 'fail'}
    assert canaries.seen_in(gzip.decompress(out.getvalue())) == []


def test_plants_every_secret_that_is_listed(device: Context) -> None:
    listed = re.findall(r'^\| `(/[^`]+)` \|', LISTED.read_text(), re.M)
    assert len(listed) == 9
    known = {name for name, _ in known_secrets.secrets(device)}
    assert [path for path in listed if not device.at(path).is_file()] == []
    assert [path for path in listed if path not in known] == []


def test_knows_every_secret_by_itself(device: Context, canaries: Canaries) -> None:
    """The last look before it goes out finds each of them, in every spelling."""
    for one in canaries.every:
        texts = [one, one.hex().encode(), one.hex().upper().encode()]
        texts += [base64.b64encode(b'?' * before + one + b'behind') for before in range(3)]
        texts += [base64.urlsafe_b64encode(b'?' * before + one + b'behind') for before in range(3)]
        for text in texts:
            assert known_secrets.leaks(device, b'before ' + text) != '', (one, text)
    assert known_secrets.leaks(device, b'nothing of the kind') == ''


def test_leaves_out_what_would_hold_one(
    device: Context, canaries: Canaries, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(support_facts, 'hardware', lambda ctx: {'model': canaries.every[3].decode()})
    out = io.BytesIO()
    assert support.main(device, [], out) == 1
    assert 'hardware.json was left out: it would have held a secret of /' in capsys.readouterr().err
    assert canaries.seen_in(gzip.decompress(out.getvalue())) == []
    assert 'about.json' in members(out.getvalue())


def test_says_what_helps(device: Context, capsys: pytest.CaptureFixture[str]) -> None:
    out = io.BytesIO()
    support.main(device, [], out)
    found = members(out.getvalue())
    about = json.loads(found['about.json'])
    assert (about['image'], about['debian']) == ({'name': '', 'digest': 'ab' * 32}, '13.8')
    state = json.loads(found['state.json'])
    assert (state['state'], state['step'], state['unlock']) == ('failed', '', 'card')
    assert json.loads(found['network.json'])['eth0']['mtu'] == '1500'
    assert b'amslpr-alert@.service loaded failed failed\n' in found['units.txt']
    assert found['failures.txt'].startswith(b'unknown ssh.service failed\n')
    assert re.fullmatch(rb'ssh.service priority 3: \d+\n', found['messages.txt'])
    assert support.main(device, ['try']) == 0
    assert capsys.readouterr().out.startswith('8 files, ')
