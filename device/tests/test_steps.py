"""Steps of the first boot with real ssh-keygen, openssl and age: products, damaged products, cuts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
from conftest import TOKEN, site_text, tree

from amslpr_device import files, runner, status
from amslpr_device.context import Context, StepError, Waiting
from amslpr_device.files import overwrite, write
from amslpr_device.steps import (
    admins,
    backup_recipients,
    clean_site_file,
    entropy,
    firewall,
    host_key,
    hostname,
    identity,
    network,
    report,
    secrets,
    site,
    tls,
)


@pytest.mark.parametrize('step', [identity, site, hostname, host_key, network, backup_recipients, clean_site_file])
def test_a_step_makes_its_product_and_then_nothing(ctx: Context, step: object) -> None:
    ctx.at('/etc/amslpr/secrets').mkdir(parents=True)
    ctx.at('/etc/NetworkManager').mkdir(parents=True)
    assert not step.product_ok(ctx)  # type: ignore[attr-defined]
    step.make(ctx)  # type: ignore[attr-defined]
    before = tree(ctx.root)
    assert step.product_ok(ctx)  # type: ignore[attr-defined]
    assert tree(ctx.root) == before


def test_random_numbers_are_waited_for_before_the_first_key(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    source = ctx.at(entropy.SOURCE)
    source.parent.mkdir(parents=True)
    source.write_text('iproc-rng200\n')
    asked: list[int] = []
    monkeypatch.setattr(os, 'getrandom', lambda size: (asked.append(size), bytes(size))[1])
    monkeypatch.setattr(entropy, '_asked', [])
    assert not entropy.product_ok(ctx)
    entropy.make(ctx)
    assert entropy.product_ok(ctx)
    # Another start waits again, and leaves the record as it was.
    source.write_text('none\n')
    monkeypatch.setattr(entropy, '_asked', [])
    assert not entropy.product_ok(ctx)
    entropy.make(ctx)
    assert asked == [32, 32]
    assert ctx.remember(entropy.NAME) == {'generator': 'initialised', 'source': 'iproc-rng200'}
    order = runner.FIRST_BOOT
    assert order.index('entropy') < min(order.index(name) for name in ('machine-id', 'host-key'))


@pytest.mark.parametrize('damage', ['empty private', 'empty public', 'no public', 'another public', 'open mode'])
def test_a_damaged_host_key_is_seen_and_mended(ctx: Context, damage: str) -> None:
    host_key.make(ctx)
    private, public = ctx.at(host_key.KEY), ctx.at(f'{host_key.KEY}.pub')
    before = private.read_bytes()
    if damage == 'empty private':
        private.write_bytes(b'')
    elif damage == 'empty public':
        public.write_bytes(b'')
    elif damage == 'no public':
        public.unlink()
    elif damage == 'another public':
        public.write_text('ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBBB\n')
    else:
        private.chmod(0o644)
    assert not host_key.product_ok(ctx)
    host_key.make(ctx)
    assert host_key.product_ok(ctx)
    # A good private key was published: it never changes.
    assert (private.read_bytes() == before) == (damage != 'empty private')


def test_left_overs_of_a_cut_do_not_stop_the_next_run(ctx: Context) -> None:
    for name in ('.host_key.new', '.host_key.new.pub', '.ssh_host_ed25519_key.new'):
        ctx.at(f'/etc/ssh/{name}').write_bytes(b'half')
    host_key.make(ctx)
    assert host_key.product_ok(ctx)
    assert not list(ctx.at('/etc/ssh').glob('.host_key*'))


def test_a_write_is_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, 'give', lambda path, owner: None)
    target = tmp_path / 'file'
    write(target, 'old', 0o600)
    monkeypatch.setattr(os, 'fsync', lambda descriptor: (_ for _ in ()).throw(OSError('power is gone')))
    with pytest.raises(OSError, match='power'):
        write(target, 'new', 0o600)
    assert target.read_text() == 'old'
    monkeypatch.undo()
    monkeypatch.setattr(files, 'give', lambda path, owner: None)
    write(target, 'new', 0o600)
    assert target.read_text() == 'new'
    assert target.stat().st_mode & 0o777 == 0o600


def test_every_write_is_synced_before_its_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, 'give', lambda path, owner: None)
    seen: list[str] = []
    sync, rename = os.fsync, Path.rename
    monkeypatch.setattr(os, 'fsync', lambda descriptor: (seen.append('sync'), sync(descriptor))[1])
    monkeypatch.setattr(Path, 'rename', lambda self, to: (seen.append('rename'), rename(self, to))[1])
    write(tmp_path / 'file', 'text')
    assert seen == ['sync', 'rename', 'sync']


def test_preallocated_files_keep_their_size_and_inode(tmp_path: Path) -> None:
    path = tmp_path / 'STATUS.TXT'
    path.write_bytes(b'\n' * 4096)
    before = path.stat().st_ino
    assert overwrite(path, b'hello\n')
    assert not overwrite(path, b'hello\n')
    assert (path.stat().st_ino, path.stat().st_size) == (before, 4096)
    with pytest.raises(ValueError, match='do not fit'):
        overwrite(path, b'x' * 4097)


def test_without_a_site_file_nothing_is_made(ctx: Context) -> None:
    (ctx.boot / 'site.yaml').unlink()
    ctx.site = {}
    assert runner.run(ctx, 'first-boot') == 0
    now = status.current(ctx)
    assert (now['state'], now['step']) == ('waiting', 'site')
    assert 'no site file' in (ctx.boot / 'STATUS.TXT').read_text()
    assert not list(ctx.at('/etc/ssh').iterdir())
    assert not (ctx.state / 'ssh-ready').exists()
    assert runner.run(ctx, 'provision') == 0


def test_a_boot_partition_that_is_not_there_is_no_missing_site_file(
    ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    (ctx.boot / 'site.yaml').unlink()
    monkeypatch.setattr(Context, 'real', True)
    with pytest.raises(StepError, match='not mounted') as told:
        site.make(ctx)
    assert not isinstance(told.value, Waiting)


def test_a_bad_site_file_is_refused_with_its_line(ctx: Context, admin_key: Path) -> None:
    (ctx.boot / 'site.yaml').write_text(site_text(admin_key).replace('gate-north', 'Gate_North'))
    with pytest.raises(Waiting, match='line 3'):
        site.make(ctx)
    assert not (ctx.state / 'site.yaml').exists()


@pytest.mark.parametrize('name', site.NEARLY)
def test_a_site_file_with_another_name_is_noticed(ctx: Context, name: str) -> None:
    (ctx.boot / 'site.yaml').rename(ctx.boot / name)
    with pytest.raises(Waiting, match=name):
        site.make(ctx)


def test_a_site_file_cut_at_any_byte_is_never_accepted(ctx: Context, admin_key: Path) -> None:
    whole = site_text(admin_key).encode()
    for size in range(len(whole)):
        (ctx.boot / 'site.yaml').write_bytes(whole[:size])
        with pytest.raises(Waiting):
            site.make(ctx)
    assert not (ctx.state / 'site.yaml').exists()


def test_a_corrected_site_file_is_picked_up(ctx: Context, admin_key: Path) -> None:
    site.make(ctx)
    assert site.product_ok(ctx)
    (ctx.boot / 'site.yaml').write_text(site_text(admin_key).replace('gate-north', 'gate-south'))
    assert not site.product_ok(ctx)
    site.make(ctx)
    assert ctx.site['hostname'] == 'gate-south'
    write(ctx.state / 'claimed', '')
    # As on a device that made room for its data, and asks the site file nothing more.
    write(ctx.state / 'partitions.json', '{}')
    (ctx.boot / 'site.yaml').write_text(site_text(admin_key))
    assert site.product_ok(ctx)
    assert ctx.site['hostname'] == 'gate-south'


def test_secrets_leave_the_site_file_but_not_its_size(ctx: Context) -> None:
    path = ctx.boot / 'site.yaml'
    before = path.read_bytes()
    clean_site_file.make(ctx)
    after = path.read_bytes()
    assert len(after) == len(before)
    assert after.count(b'\n') == before.count(b'\n')
    assert TOKEN.encode() not in after
    assert b'secret' not in after
    assert b'hostname: gate-north' in after


@pytest.mark.parametrize('shift', range(0, 512, 17))
def test_a_cut_between_any_sectors_of_the_site_file_keeps_no_secret(
    ctx: Context, shift: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every sector of every write is on the card or not: the next run takes whatever was left."""
    path = ctx.boot / 'site.yaml'
    text = b'#' * shift + b'\n' + path.read_bytes()
    written: list[bytes] = []
    path.write_bytes(text)
    monkeypatch.setattr(os, 'fsync', lambda descriptor: written.append(path.read_bytes()))
    clean_site_file.make(ctx)
    for before, after in pairwise([text, *written]):
        for odd in (0, 1):
            parts = [(before, after)[(at // 512 + odd) % 2][at : at + 512] for at in range(0, len(text), 512)]
            path.write_bytes(b''.join(parts))
            if not clean_site_file.product_ok(ctx):
                clean_site_file.make(ctx)
            left = path.read_bytes()
            assert TOKEN[:9].encode() not in left
            assert b'secret' not in left
            assert b'word' not in left
            assert len(left) == len(text)


def test_network_texts_cannot_break_out(ctx: Context) -> None:
    ctx.site['network']['wifi'] = {'country': 'GB', 'ssid': 'a\n[x]', 'psk': ' tail\\n '}
    text = network.wanted(ctx)[f'{network.CONNECTIONS}/amslpr-wifi.nmconnection'][0]
    assert 'ssid=97;10;91;120;93;' in text
    assert 'psk=\\stail\\\\n\\s' in text
    assert '[x]' not in text


def test_management_networks_limit_ssh_alone(ctx: Context) -> None:
    rules = (Path(__file__).parents[2] / 'test/fixtures/ufw/low.user.rules').read_text()
    site = {'management': ['10.0.0.0/8', '192.0.2.0/24', '2001:db8::/32']}
    made = firewall.fitted(rules, 4, site)
    assert firewall.fitted(made, 4, site) == made
    ssh = [line for line in made.splitlines() if line.startswith('-A') and '--dport 22 ' in line]
    assert len(ssh) == 6
    assert all(' -s 10.0.0.0/8 ' in line or ' -s 192.0.2.0/24 ' in line for line in ssh)
    assert [line for line in made.splitlines() if '443' in line] == [
        line for line in rules.splitlines() if '443' in line
    ]


@pytest.mark.parametrize('asked', [True, False])
def test_neighbours_reach_ssh_unless_it_is_turned_off(asked: bool) -> None:
    rules = (Path(__file__).parents[2] / 'test/fixtures/ufw/low.user6.rules').read_text()
    site = {'management': ['192.0.2.0/24', '2001:db8::/32'], **({} if asked else {'ssh-link-local': False})}
    made = firewall.fitted(rules, 6, site)
    assert firewall.fitted(made, 6, site) == made
    ssh = [line for line in made.splitlines() if line.startswith('-A') and '--dport 22 ' in line]
    near = [line for line in ssh if ' -i e+ ' in line and ' -s fe80::/10 ' in line]
    assert len(near) == (3 if asked else 0)
    assert all(' -s 2001:db8::/32 ' in line for line in ssh if line not in near)
    assert len(ssh) == len(near) + 3
    assert ('in_e+ comment=' in made) == asked


def test_cameras_reach_nothing_and_are_asked_for_pictures_alone() -> None:
    folder = Path(__file__).parents[2] / 'test/fixtures/ufw'
    site = {'cameras': {'vlan': '20', 'address': '192.168.20.1/24', 'ports': ['554']}}
    for version, name in ((4, 'low.user.rules'), (6, 'low.user6.rules')):
        rules = (folder / name).read_text()
        made = firewall.fitted(rules, version, site)
        assert firewall.fitted(made, version, site) == made
        assert firewall.fitted(made, version, {}) == rules
        chain = 'ufw' if version == 4 else 'ufw6'
        inwards = [line for line in made.splitlines() if line.startswith(f'-A {chain}-user-input')]
        dropped = inwards.index(f'-A {chain}-user-input -i cameras -j DROP')
        # Before it stands only what cameras answer; behind it what everybody else reaches.
        assert all('--sport 3702' in line for line in inwards[:dropped])
        assert any('--dport 443' in line for line in inwards[dropped:])
        outwards = [line for line in made.splitlines() if ' -o cameras' in line]
        assert outwards[-1] == f'-A {chain}-user-output -o cameras -j DROP'
        allowed = [line for line in outwards if line.endswith('ACCEPT')]
        assert len(allowed) == (2 if version == 4 else 0)
    assert '-d 192.168.20.0/24 --dport 554' in firewall.fitted((folder / 'low.user.rules').read_text(), 4, site)


def test_management_networks_have_jails_of_their_own(ctx: Context) -> None:
    ctx.at(firewall.JAILS).parent.mkdir(parents=True)
    ctx.site['network'] = {'management': ['192.0.2.0/24']}
    firewall.make(ctx)
    assert firewall.product_ok(ctx)
    text = ctx.at(firewall.JAILS).read_text()
    assert 'amslpr_management = 192.0.2.0/24 fe80::/10\n' in text
    assert '[sshd-management]\nenabled = true\n' in text
    ctx.site['network'] = {}
    assert firewall.wanted(ctx) == {}


def test_cameras_are_a_vlan_of_the_wired_port_with_no_way_out(ctx: Context) -> None:
    ctx.site['network']['cameras'] = {'vlan': '20', 'address': '192.168.20.1/24'}
    files = network.wanted(ctx)
    text = files[f'{network.CONNECTIONS}/amslpr-cameras.nmconnection'][0]
    wired = files[f'{network.CONNECTIONS}/amslpr-wired.nmconnection'][0]
    parent = next(line for line in text.splitlines() if line.startswith('parent=')).removeprefix('parent=')
    assert f'uuid={parent}\n' in wired
    assert 'interface-name=cameras\n' in text
    assert 'id=20\n' in text
    assert '[ipv4]\nmethod=manual\naddress1=192.168.20.1/24\nnever-default=true\n' in text
    assert '[ipv6]\nmethod=disabled\n' in text


def test_any_wired_port_will_do_unless_the_address_is_given(ctx: Context) -> None:
    path = f'{network.CONNECTIONS}/amslpr-wired.nmconnection'
    ctx.site['network'] = {'wired': {'method': 'dhcp'}}
    assert 'multi-connect=3\n' in network.wanted(ctx)[path][0]
    ctx.site['network'] = {'wired': {'method': 'static', 'address': '192.0.2.10/24'}}
    assert 'multi-connect' not in network.wanted(ctx)[path][0]


def test_administrators_are_made_and_mended(accounts: Context) -> None:
    ctx = accounts
    admins.make(ctx)
    assert admins.product_ok(ctx)
    keys = ctx.at('/etc/ssh/authorized_keys.d/alex')
    assert keys.stat().st_mode & 0o777 == 0o644
    assert admins.entries(ctx, '/etc/shadow')['alex'][1] == '*'
    before = tree(ctx.root)
    assert admins.product_ok(ctx)
    assert tree(ctx.root) == before
    # A cut between the files of useradd.
    for path, wrong in (('/etc/shadow', 'alex:'), ('/etc/group', 'amslpr-admins:'), ('/etc/group', 'alex:')):
        lines = ctx.at(path).read_text().splitlines()
        ctx.at(path).write_text('\n'.join(line for line in lines if not line.startswith(wrong)) + '\n')
        if wrong == 'amslpr-admins:':
            ctx.at(path).write_text(ctx.at(path).read_text() + 'amslpr-admins:x:960:\n')
        ctx.at('/etc/passwd.lock').write_text('1')
        assert not admins.product_ok(ctx)
        admins.make(ctx)
        assert admins.product_ok(ctx)


def test_the_certificate_names_everything_and_is_good_now(web: Context) -> None:
    tls.make(web)
    assert tls.product_ok(web)
    certificate = web.at('/etc/amslpr/ssl/cert.pem')
    text = subprocess.run(
        ['openssl', 'x509', '-in', str(certificate), '-noout', '-text'], capture_output=True, check=True
    )
    told = text.stdout.decode()
    for name in ('DNS:gate-north', 'DNS:gate-north.local', 'DNS:gate.example', 'IP Address:192.0.2.7', 'CA:FALSE'):
        assert name in told
    assert 'prime256v1' in told
    assert web.at('/etc/amslpr/ssl/key.pem').stat().st_mode & 0o777 == 0o600


def test_a_new_address_gets_a_certificate_with_the_same_key(web: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    tls.make(web)
    key = web.at('/etc/amslpr/ssl/key.pem').read_bytes()
    certificate = web.at('/etc/amslpr/ssl/cert.pem').read_bytes()
    monkeypatch.setattr(tls, 'addresses', lambda ctx: ['192.0.2.8'])
    assert not tls.product_ok(web)
    tls.make(web)
    assert tls.product_ok(web)
    assert web.at('/etc/amslpr/ssl/key.pem').read_bytes() == key
    assert web.at('/etc/amslpr/ssl/cert.pem').read_bytes() != certificate


def test_a_certificate_of_an_authority_is_left_alone(web: Context, tmp_path: Path) -> None:
    tls.make(web)
    key = web.at('/etc/amslpr/ssl/key.pem')
    new = [
        'openssl',
        'req',
        '-x509',
        '-newkey',
        'ed25519',
        '-nodes',
        '-subj',
        '/CN=ca',
        '-keyout',
        'ca.key',
        '-out',
        'ca.pem',
    ]
    subprocess.run(new, check=True, cwd=tmp_path, capture_output=True)
    subprocess.run(
        ['openssl', 'req', '-new', '-key', str(key), '-subj', '/CN=x', '-out', 'r.csr'], check=True, cwd=tmp_path
    )
    sign = [
        'openssl',
        'x509',
        '-req',
        '-in',
        'r.csr',
        '-CA',
        'ca.pem',
        '-CAkey',
        'ca.key',
        '-CAcreateserial',
        '-out',
        'c.pem',
    ]
    subprocess.run(sign, check=True, cwd=tmp_path, capture_output=True)
    shutil.copy(tmp_path / 'c.pem', web.at('/etc/amslpr/ssl/cert.pem'))
    assert tls.product_ok(web)


def test_the_application_gets_secrets_of_its_own(web: Context) -> None:
    account = {'password_hash': '0' * 64, 'salt': 's'}
    files.write_record(web.state / 'data.json', {'web': account})
    secrets.make(web)
    assert secrets.product_ok(web)
    env, key, users = secrets.places(web)
    first = env.read_text(), key.read_bytes()
    users.write_text('')
    assert not secrets.product_ok(web)
    secrets.make(web)
    assert (env.read_text(), key.read_bytes()) == first
    assert json.loads(users.read_text())['users']['admin']['password_hash'] == '0' * 64
    assert users.with_name('users.json.damaged').exists()
    # What the wrapper kept is better than the first account again.
    users.with_name('users.json.last').write_text('{"users": {"anna": {}}}')
    users.write_text('{"users"')
    secrets.make(web)
    assert json.loads(users.read_text()) == {'users': {'anna': {}}}


def test_the_report_can_be_recognised(web: Context) -> None:
    import hashlib
    import hmac

    entropy.make(web)
    host_key.make(web)
    tls.make(web)
    report.make(web)
    assert report.product_ok(web)
    found = json.loads((web.boot / 'report.json').read_text())
    canonical = json.dumps(found['report'], sort_keys=True, separators=(',', ':'))
    assert hmac.new(TOKEN.encode(), canonical.encode(), hashlib.sha256).hexdigest() == found['hmac_sha256']
    assert found['report']['ssh_fingerprint'].startswith('SHA256:')
    assert found['report']['entropy'] == {'generator': 'initialised', 'source': 'unknown'}
    assert TOKEN not in (web.boot / 'report.json').read_text()


def test_a_failed_step_says_why_and_what_to_do(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(ctx: Context) -> None:
        raise StepError('the disk is full', 'use a larger card')

    monkeypatch.setattr(identity, 'make', fail)
    assert runner.run(ctx, 'first-boot') == 1
    now = status.current(ctx)
    assert (now['state'], now['step'], now['message']) == ('failed', 'identity', 'the disk is full')
    text = (ctx.boot / 'STATUS.TXT').read_text()
    assert 'failed at identity' in text
    assert 'Next: use a larger card' in text
    assert (ctx.boot / 'STATUS.TXT').stat().st_size == 4096


@pytest.mark.parametrize(('phase', 'module'), [('first-boot', identity), ('provision', backup_recipients)])
def test_a_step_that_says_why_it_failed_ends_the_start(
    ctx: Context, monkeypatch: pytest.MonkeyPatch, phase: str, module: object
) -> None:
    def fail(ctx: Context) -> None:
        raise StepError('the disk is full', 'use a larger card')

    monkeypatch.setitem(runner.PHASES, phase, (module.__name__.rpartition('.')[2].replace('_', '-'),))  # type: ignore[attr-defined]
    monkeypatch.setattr(module, 'product_ok', lambda ctx: False)
    monkeypatch.setattr(module, 'make', fail)
    site.make(ctx)
    count = ctx.at('/var/lib/amslpr-rescue/attempts')
    count.parent.mkdir(parents=True)
    count.write_text('2')
    assert runner.run(ctx, phase) == 1
    assert not count.exists()
    # What nobody thought of is no end: after three of them the device starts with SSH alone.
    count.write_text('2')
    monkeypatch.setattr(module, 'make', lambda ctx: 1 / 0)
    assert runner.run(ctx, phase) == 1
    assert count.exists()
    assert 'ZeroDivisionError' in status.current(ctx)['message']


def ended(ctx: Context, monkeypatch: pytest.MonkeyPatch, result: str, exit_status: str = 'TERM') -> dict[str, str]:
    monkeypatch.setenv('SERVICE_RESULT', result)
    monkeypatch.setenv('EXIT_STATUS', exit_status)
    assert runner.stopped('first-boot', ctx) == 0
    return status.current(ctx)


def test_a_phase_that_was_killed_says_at_which_step(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    status.tell(ctx, status.Status('working', 'host-key'))
    # A success, and a restart that somebody asked for.
    for harmless in ('success', 'signal'):
        assert ended(ctx, monkeypatch, harmless)['state'] == 'working'
    now = ended(ctx, monkeypatch, 'timeout')
    assert (now['state'], now['step']) == ('failed', 'host-key')
    text = (ctx.boot / 'STATUS.TXT').read_text()
    assert 'failed at host-key\nthe step took too long and was stopped\nNext: restart the device' in text
    status.tell(ctx, status.Status('working', 'network'))
    assert ended(ctx, monkeypatch, 'signal', 'KILL')['message'] == 'the step was killed'


def test_a_phase_that_said_how_it_ended_is_believed(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    for state in ('waiting', 'failed', 'ready', 'rescue'):
        status.tell(ctx, status.Status(state, 'site', 'as it was'))
        assert ended(ctx, monkeypatch, 'exit-code', '1')['message'] == 'as it was'


def test_a_program_that_could_not_even_start_is_told(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    now = ended(ctx, monkeypatch, 'exit-code', '1')
    assert (now['state'], now['step']) == ('failed', '')
    assert now['message'] == 'the program first-boot ended without a word'


@pytest.mark.parametrize('phase', runner.PHASES)
def test_systemd_tells_of_the_end_of_each_phase(phase: str) -> None:
    unit = Path(__file__).parents[2] / f'overlays/first-boot/etc/systemd/system/amslpr-{phase}.service'
    assert f'\nExecStopPost=/usr/sbin/amslpr-device stopped {phase}\n' in unit.read_text()
