"""The twin guard, with injected serial numbers: board swap, clone, unknown."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from conftest import decrypt

from amslpr_device import adopt_board, luks, runner, service, status
from amslpr_device.context import Context
from amslpr_device.steps import admins, data, data_open

# Real cryptsetup, age, databases, networks: with all others in ci/test, not before each commit.
pytestmark = pytest.mark.slow


def serial(ctx: Context, number: str | None) -> None:
    """What the board says; None: nothing."""
    path = ctx.at('/proc/device-tree/serial-number')
    path.parent.mkdir(exist_ok=True, parents=True)
    path.unlink(missing_ok=True)
    if number is not None:
        path.write_bytes(number.encode() + b'\0')


def boot(ctx: Context) -> dict[str, str]:
    """A start; gives the status at its end."""
    data.passphrase_file(ctx)
    for phase in runner.PHASES:
        runner.run(Context(ctx.root), phase)
    return status.current(ctx)


@pytest.fixture(autouse=True)
def as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command asks whether sudo was used."""
    monkeypatch.setattr(os, 'geteuid', lambda: 0)


# All but the last are on the data partition.
KEYS_FOR_SERVERS = (
    '/etc/amslpr/secrets/backup-push-key',
    '/etc/amslpr/secrets/logs-client.pem',
    '/etc/amslpr/ssl/acme/accounts/server/directory/1/private_key.json',
    '/var/lib/NetworkManager/secret_key',
)
FIRST, SECOND = '10000000aaaaaaaa', '10000000bbbbbbbb'


@pytest.mark.parametrize(('was', 'now'), [(FIRST, SECOND), (FIRST, None), (None, SECOND)])
def test_in_another_board_the_data_stays_closed(device: Context, was: str | None, now: str | None) -> None:
    serial(device, was)
    assert boot(device)['state'] == 'ready'
    serial(device, now)
    found = boot(device)
    assert (found['state'], found['step']) == ('waiting', 'board')
    assert f'in the board {was or "unknown"}, and this is the board {now or "unknown"}' in found['message']
    assert 'adopt-board --clone' in (device.boot / 'STATUS.TXT').read_text()
    # Back in its own board all is as before.
    serial(device, was)
    assert boot(device)['state'] == 'ready'


@pytest.mark.parametrize('number', [FIRST, None])
def test_the_same_board_is_no_twin(device: Context, number: str | None) -> None:
    serial(device, number)
    assert [boot(device)['state'] for _ in range(2)] == ['ready', 'ready']
    assert adopt_board.main(Context(device.root), False, str) == 1


def test_before_there_is_data_a_card_may_move(device: Context) -> None:
    serial(device, FIRST)
    site = (device.boot / 'site.yaml').read_bytes()
    (device.boot / 'site.yaml').unlink()
    assert boot(device)['state'] == 'waiting'
    serial(device, SECOND)
    (device.boot / 'site.yaml').write_bytes(site)
    assert boot(device)['state'] == 'ready'
    assert json.loads((device.boot / 'report.json').read_text())['report']['board'] == SECOND


def test_after_a_repair_all_goes_on(device: Context, admin_key: Path) -> None:
    serial(device, FIRST)
    boot(device)
    before = decrypt(device, admin_key), device.at('/etc/ssh/ssh_host_ed25519_key').read_bytes()
    serial(device, SECOND)
    boot(device)
    assert adopt_board.main(Context(device.root), False, str) == 0
    assert boot(device)['state'] == 'ready'
    assert (decrypt(device, admin_key), device.at('/etc/ssh/ssh_host_ed25519_key').read_bytes()) == before
    assert json.loads((device.boot / 'report.json').read_text())['report']['board'] == SECOND


def test_a_clone_gets_an_identity_of_its_own(
    device: Context, admin_key: Path, container: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without a kernel: mounted as soon as it is asked for, but with what a clone has to do there.
    monkeypatch.setattr(data_open, 'product_ok', lambda ctx: not (ctx.state / adopt_board.MARK).exists())
    monkeypatch.setattr(data_open, 'make', adopt_board.forget_twin)
    serial(device, FIRST)
    assert boot(device)['state'] == 'ready'
    paths = [
        device.at(path)
        for path in ('/etc/ssh/ssh_host_ed25519_key', '/etc/amslpr/ssl/key.pem', '/etc/amslpr/secrets/app.env')
    ]
    foreign = [device.at(path) for path in KEYS_FOR_SERVERS]
    for path in foreign:
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text('of the first device')
    kept = device.at('/etc/amslpr/secrets/mail.json')
    kept.write_text('{"password": "of the relay"}')
    fernet, first = device.at('/var/lib/amslpr/config/crypto.key').read_bytes(), json.loads(decrypt(device, admin_key))
    old = [path.read_bytes() for path in paths]
    password = admins.entries(device, '/etc/shadow')['alex'][1]
    serial(device, SECOND)
    boot(device)
    assert adopt_board.main(Context(device.root), True, lambda: 'wrong') == 1
    assert [path.read_bytes() for path in paths] == old
    assert adopt_board.main(Context(device.root), True, lambda: first['luks_recovery_key']) == 0
    assert device.at('/etc/machine-id').read_text() == 'uninitialized\n'
    assert [path for path in foreign if path.exists()] == foreign[:-1]
    found = boot(device)
    assert (found['state'], found['step'], service.facts(device)['data']) == ('waiting', 'data', 'to adopt')
    data.passphrase_file(device).write_text(first['luks_recovery_key'])
    assert boot(device)['state'] == 'ready'
    second = json.loads(decrypt(device, admin_key))
    assert all(now != was for now, was in zip([path.read_bytes() for path in paths], old, strict=True))
    for name in ('luks_recovery_key', 'sudo_passwords', 'proof_code'):
        assert second[name] != first[name]
    assert not luks.opens(device, container, first['luks_recovery_key'].encode())
    assert luks.opens(device, container, second['luks_recovery_key'].encode())
    assert admins.entries(device, '/etc/shadow')['alex'][1] not in ('*', password)
    # Servers of the operator would take it for the first one; settings and the relay's password stay.
    assert [path for path in foreign if path.exists()] == []
    assert kept.read_text() == '{"password": "of the relay"}'
    # What the application encrypted stays readable.
    assert device.at('/var/lib/amslpr/config/crypto.key').read_bytes() == fernet


@pytest.mark.parametrize('cut', ['sync_folder', 'put_hashes', 'repair'])
def test_a_cut_while_a_clone_is_made_leaves_the_guard_up(
    device: Context, admin_key: Path, cut: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def power(*arguments: object) -> None:
        raise KeyboardInterrupt

    serial(device, FIRST)
    boot(device)
    key = json.loads(decrypt(device, admin_key))['luks_recovery_key']
    serial(device, SECOND)
    with monkeypatch.context() as patch:
        patch.setattr(adopt_board, cut, power)
        with pytest.raises(KeyboardInterrupt):
            adopt_board.main(Context(device.root), True, lambda: key)
    assert boot(device)['step'] == 'board'
    assert adopt_board.main(Context(device.root), True, lambda: key) == 0
    assert boot(device)['step'] == 'data'
