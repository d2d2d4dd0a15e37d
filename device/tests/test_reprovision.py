"""A changed site file: an unclaimed device is provisioned again by it, a claimed one is not."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import TOKEN, decrypt, site_text, tree

from amslpr_device import luks, reprovision, runner, service, status
from amslpr_device.context import Context
from amslpr_device.files import write, write_record
from amslpr_device.steps import admins, firewall, network, site

# Real cryptsetup, age, databases, networks: with all others in ci/test, not before each commit.
pytestmark = pytest.mark.slow


def boot(ctx: Context) -> dict[str, str]:
    """A start; gives the status at its end."""
    for phase in runner.PHASES:
        runner.run(Context(ctx.root), phase)
    return status.current(ctx)


def put(ctx: Context, text: str) -> None:
    """A site file on the boot partition."""
    (ctx.boot / 'site.yaml').write_text(text)


def key(folder: Path) -> str:
    """A public key of somebody else, whose private part is in `folder`."""
    subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', 'kim', '-f', str(folder / 'kim')], check=True)
    return (folder / 'kim.pub').read_text().strip()


def test_the_cleaned_site_file_is_no_other_site(device: Context) -> None:
    assert boot(device)['state'] == 'ready'
    assert TOKEN not in (device.boot / 'site.yaml').read_text()
    before = {name: found for name, found in tree(device.root).items() if '/run/' not in name}
    assert boot(device)['state'] == 'ready'
    assert {name: found for name, found in tree(device.root).items() if '/run/' not in name} == before


def test_without_wifi_the_cleaned_file_is_still_good_and_no_other_site(device: Context, admin_key: Path) -> None:
    text = site_text(admin_key)
    put(device, text[: text.index('network:')] + text[text.index('tls:') :])
    assert boot(device)['state'] == 'ready'
    found = site.offered(device)
    assert found is not None and found[1].ok
    assert found[1].canonical != (device.state / 'site.yaml').read_text()
    accepted = (device.state / 'site.yaml').read_bytes()
    assert boot(device)['state'] == 'ready'
    assert (device.state / 'site.yaml').read_bytes() == accepted


def test_a_changed_name_and_network_are_taken_and_the_data_stays(
    device: Context, admin_key: Path, container: Path
) -> None:
    boot(device)
    host_key = device.at('/etc/ssh/ssh_host_ed25519_key').read_bytes()
    before = json.loads(decrypt(device, admin_key))
    text = site_text(admin_key).replace('gate-north', 'gate-south')
    put(device, text[: text.index('network:')] + text[text.index('tls:') :])
    assert boot(device)['state'] == 'ready'
    assert device.at('/etc/hostname').read_text() == 'gate-south\n'
    assert not device.at(f'{network.CONNECTIONS}/amslpr-wifi.nmconnection').exists()
    assert not device.at(network.COUNTRY).exists()
    assert json.loads(decrypt(device, admin_key)) == before
    assert luks.opens(device, container, before['luks_recovery_key'].encode())
    assert device.at('/etc/ssh/ssh_host_ed25519_key').read_bytes() == host_key


def test_another_administrator_replaces_the_first_with_new_secrets(
    device: Context, admin_key: Path, container: Path, tmp_path: Path
) -> None:
    boot(device)
    before = json.loads(decrypt(device, admin_key))
    new = key(tmp_path)
    put(
        device,
        site_text(admin_key)
        .replace('name: alex', 'name: kim')
        .replace(admin_key.with_suffix('.pub').read_text().strip(), new),
    )
    assert boot(device)['state'] == 'ready'
    assert 'alex' not in admins.entries(device, '/etc/passwd')
    assert 'alex' not in admins.entries(device, '/etc/group')
    assert not device.at('/etc/ssh/authorized_keys.d/alex').exists()
    assert not device.at('/home/alex').exists()
    after = json.loads(decrypt(device, tmp_path / 'kim'))
    assert after['sudo_passwords'].keys() == {'kim'}
    assert admins.entries(device, '/etc/shadow')['kim'][1].startswith('$')
    assert after['container'] == before['container']
    assert luks.opens(device, container, after['luks_recovery_key'].encode())
    assert not luks.opens(device, container, before['luks_recovery_key'].encode())


def test_another_key_makes_the_password_of_the_new_bundle_the_one_of_sudo(
    device: Context, admin_key: Path, tmp_path: Path
) -> None:
    boot(device)
    old = admins.entries(device, '/etc/shadow')['alex'][1]
    put(device, site_text(admin_key).replace(admin_key.with_suffix('.pub').read_text().strip(), key(tmp_path)))
    assert boot(device)['state'] == 'ready'
    assert admins.entries(device, '/etc/shadow')['alex'][1] not in ('*', old)
    assert json.loads(decrypt(device, tmp_path / 'kim'))['sudo_passwords'].keys() == {'alex'}


def test_data_with_a_backup_is_not_lost_without_a_word(
    device: Context, admin_key: Path, container: Path, tmp_path: Path
) -> None:
    boot(device)
    before = json.loads(decrypt(device, admin_key))
    write(device.state / 'data-used', '')
    changed = site_text(admin_key).replace(admin_key.with_suffix('.pub').read_text().strip(), key(tmp_path))
    put(device, changed)
    for _ in range(2):
        now = boot(device)
        assert (now['state'], now['step']) == ('waiting', 'data')
        assert 'gate-north' in now['message']
        assert '`data: existing: adopt`' in now['hint']
        assert luks.opens(device, container, before['luks_recovery_key'].encode())
    put(device, changed.replace('...\n', 'data:\n  existing: adopt\n...\n'))
    assert boot(device)['state'] == 'waiting'
    (device.run_folder / 'passphrase').write_text(before['luks_recovery_key'])
    assert boot(device)['state'] == 'ready'
    assert json.loads(decrypt(device, tmp_path / 'kim'))['container'] == before['container']
    # What was adopted is never made again without a word either.
    put(device, site_text(admin_key).replace('...\n', 'data:\n  existing: keep\n...\n'))
    assert boot(device)['state'] == 'waiting'
    # Whoever looked what it waits for has logged in.
    write(device.state / 'claimed', '')
    put(device, site_text(admin_key).replace('...\n', 'data:\n  existing: erase\n...\n'))
    assert boot(device)['state'] == 'ready'
    assert json.loads(decrypt(device, admin_key))['container'] != before['container']


def test_a_claimed_device_ignores_another_site_file(
    device: Context, admin_key: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    boot(device)
    write(device.state / 'claimed', '')
    put(device, site_text(admin_key).replace('gate-north', 'gate-south'))
    before = {name: found for name, found in tree(device.root).items() if '/run/' not in name}
    capsys.readouterr()
    assert boot(device)['state'] == 'ready'
    assert 'ignored, since somebody has logged in' in capsys.readouterr().out
    device.site = {}
    site.recall(device)
    assert device.site['hostname'] == 'gate-north'
    after = {name: found for name, found in tree(device.root).items() if '/run/' not in name}
    # The new file's secrets are taken out all the same.
    assert {name for name in after if after[name] != before[name]} == {str(device.boot / 'site.yaml')}


def test_a_claim_does_not_count_while_the_site_file_is_asked_about_earlier_data(ctx: Context) -> None:
    write(ctx.state / 'claimed', '')
    assert not reprovision.claimed(ctx)
    write(ctx.state / 'partitions.json', '{}')
    assert reprovision.claimed(ctx)
    write_record(ctx.state / 'data.json', {'state': reprovision.LEFT})
    assert not reprovision.claimed(ctx)


@pytest.mark.parametrize('spoiled', ['...\n', 'hostname: gate-south'])
def test_a_bad_site_file_changes_nothing(device: Context, admin_key: Path, spoiled: str) -> None:
    boot(device)
    put(device, site_text(admin_key).replace('gate-north', 'gate-south').replace(spoiled, ''))
    assert boot(device)['state'] == 'ready'
    assert device.at('/etc/hostname').read_text() == 'gate-north\n'
    put(device, site_text(admin_key).replace('gate-north', 'gate-south'))
    assert boot(device)['state'] == 'ready'
    assert device.at('/etc/hostname').read_text() == 'gate-south\n'


@pytest.mark.parametrize('cut', ['remove_account', 'forget_data', 'note_offered', 'write'])
def test_a_cut_while_the_old_site_is_taken_back_starts_again(
    quick: Context, admin_key: Path, tmp_path: Path, cut: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    boot(quick)
    put(
        quick,
        site_text(admin_key)
        .replace('name: alex', 'name: kim')
        .replace(admin_key.with_suffix('.pub').read_text().strip(), key(tmp_path)),
    )

    def after(real: Callable[..., None]) -> Callable[..., None]:
        def power(*arguments: object, **options: object) -> None:
            real(*arguments, **options)
            raise KeyboardInterrupt

        return power

    place = site if cut == 'write' else reprovision
    with monkeypatch.context() as patch:
        patch.setattr(place, cut, after(getattr(place, cut)))
        with pytest.raises(KeyboardInterrupt):
            runner.run(Context(quick.root), 'first-boot')
    assert boot(quick)['state'] == 'ready'
    assert service.facts(quick)['state'] == 'ready'
    assert 'alex' not in admins.entries(quick, '/etc/passwd')
    assert json.loads(decrypt(quick, tmp_path / 'kim'))['sudo_passwords'].keys() == {'kim'}
    assert admins.entries(quick, '/etc/shadow')['kim'][1].startswith('$')


def test_rules_of_former_management_networks_are_gone(ctx: Context, admin_key: Path) -> None:
    rules = (Path(__file__).parents[2] / 'test/fixtures/ufw/low.user.rules').read_text()
    ctx.at('/etc/ufw').mkdir(parents=True)
    for path in firewall.RULES.values():
        ctx.at(path).write_text(rules)
    old = {**ctx.site, 'network': {'management': ['192.0.2.0/24']}}
    ctx.site = old
    firewall.make(ctx)
    assert '192.0.2.0/24' in ctx.at(firewall.RULES['user.rules']).read_text()
    reprovision.take_back(ctx, old, {**ctx.site, 'network': {}})
    assert all(ctx.at(path).read_text() == rules for path in firewall.RULES.values())
