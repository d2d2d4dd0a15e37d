"""Isolation in real network namespaces, with the kernel's own firewall."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from network_pair import DEVICE, Party, parties

from amslpr_device import cli, service
from amslpr_device.context import Context, StepError
from amslpr_device.incident import caller, isolate

# Real cryptsetup, age, databases, networks: with all others in ci/test, not before each commit.
pytestmark = pytest.mark.slow

CALLER_4, CALLER_6 = '192.0.2.2', '2001:db8:a::2'
STRANGER_4, STRANGER_6 = '198.51.100.2', '2001:db8:b::2'
DEVICE_4, DEVICE_6 = '192.0.2.1', '2001:db8:a::1'
PROGRAM = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(DEVICE)!r})
from amslpr_device.context import Context
from amslpr_device.incident import isolate
sys.exit(isolate.main(Context(Path(sys.argv[1])), sys.argv[2:]))
"""


class Site:
    """A device that is called over SSH by IPv4, with its neighbours."""

    def __init__(self, root: Path, device: Party, admin: Party, stranger: Party) -> None:
        self.root, self.device, self.admin, self.stranger = root, device, admin, stranger

    def isolate(self, *arguments: str, address: str = CALLER_4) -> str:
        """What `amslpr-device isolate` says, started as sudo starts it: without the session's variables."""
        session = [] if address == '' else [f'SSH_CONNECTION={address} 50000 {DEVICE_4} 22']
        program = ['env', '-u', 'SSH_CONNECTION', sys.executable, '-c', PROGRAM, str(self.root), *arguments]
        # `true` behind it keeps the shell, whose child has to look at its parent.
        return self.device.run('env', *session, 'sh', '-c', '"$@" 2>&1 && true', 'sh', *program).strip()

    def open_to_admin(self) -> list[bool]:
        """Whether SSH answers the caller, by IPv4 and IPv6."""
        return self.admin.reaches((DEVICE_4, 22), (DEVICE_6, 22))

    def others(self) -> list[bool]:
        """Everything else: the web for the caller, SSH for the stranger, both ways out, and through the device."""
        return [
            *self.admin.reaches((DEVICE_4, 443), (DEVICE_6, 443), (STRANGER_4, 80), (STRANGER_6, 80)),
            *self.stranger.reaches((DEVICE_4, 22), (DEVICE_6, 22), (DEVICE_4, 443), (DEVICE_6, 443)),
            *self.device.reaches((CALLER_4, 80), (CALLER_6, 80), (STRANGER_4, 80), (STRANGER_6, 80)),
        ]


@pytest.fixture
def site(ctx: Context) -> Iterator[Site]:
    """All of it up, and nothing closed yet."""
    with parties() as (device, admin, stranger):
        device.serve(22, 443)
        admin.serve(80)
        stranger.serve(80)
        made = Site(ctx.root, device, admin, stranger)
        assert made.open_to_admin() == [True, True]
        # IPv6 forwards once the kernel is through with its link-local addresses.
        for _ in range(10):
            if all(made.others()):
                break
        assert made.others() == [True] * 12
        yield made


def test_keeps_the_caller_and_cuts_everybody_else(site: Site) -> None:
    before = site.stranger.start(sys.executable, '-c', TALK, DEVICE_4)
    said = site.isolate('--keep', CALLER_6)
    assert 'isolated until ' in said
    assert f'kept: {CALLER_4}, {CALLER_6}' in said
    assert site.open_to_admin() == [True, True]
    assert site.others() == [False] * 12
    assert site.stranger.run('sh', '-c', f'ping -c1 -W1 {DEVICE_4} >/dev/null; echo $?') != '0\n'
    # A connection that was there before is cut too.
    print('more', file=before.stdin, flush=True)
    assert before.stdout is not None
    assert before.stdout.readline() == 'cut\n'
    # The device itself goes on talking to itself.
    assert site.device.reaches(('127.0.0.1', 443), ('::1', 443)) == [True, True]

    assert site.isolate('end') == 'not isolated'
    assert site.open_to_admin() == [True, True]
    assert site.others() == [True] * 12


TALK = """
import socket, sys
with socket.create_connection((sys.argv[1], 22), timeout=2) as found:
    found.sendall(b'x')
    found.recv(1)
    print('talks', flush=True)
    sys.stdin.readline()
    found.settimeout(1)
    try:
        found.sendall(b'y')
        print('heard' if found.recv(1) else 'cut', flush=True)
    except OSError:
        print('cut', flush=True)
"""


@pytest.mark.slow
def test_keeps_the_caller_of_ipv6_alone(site: Site) -> None:
    site.isolate(address=CALLER_6)
    assert site.open_to_admin() == [False, True]
    assert site.others() == [False] * 12


@pytest.mark.slow
def test_ends_by_itself(site: Site, ctx: Context) -> None:
    site.device.run('sh', '-c', 'exec nft -f - <<E\n' + isolate.rules([CALLER_4], [22], 6) + '\nE')
    assert site.stranger.reaches((DEVICE_4, 22), (DEVICE_6, 22)) == [False, False]
    end = time.monotonic() + 60
    while not all(site.others()):
        assert time.monotonic() < end
    (ctx.state / isolate.RECORD).write_text('{"keep": ["192.0.2.2"]}')
    assert site.isolate('status') == 'not isolated'
    assert not (ctx.state / isolate.RECORD).exists()


@pytest.mark.slow
def test_a_restart_does_not_end_it(site: Site, ctx: Context) -> None:
    site.isolate('--minutes', '5')
    # What a restart leaves of it: the record alone.
    site.device.run('nft', 'flush', 'ruleset')
    assert site.others() == [True] * 12
    assert 'isolated again for ' in site.isolate('again', address='')
    assert site.open_to_admin() == [True, False]
    assert site.others() == [False] * 12
    assert f'kept: {CALLER_4}' in site.isolate('status', address='')

    # A clock that runs behind makes it no longer than it was to be; one that is past it ends it.
    record = json.loads((ctx.state / isolate.RECORD).read_text())
    (ctx.state / isolate.RECORD).write_text(json.dumps({**record, 'until': record['until'] + 10**8}))
    assert site.isolate('again', address='') == 'isolated again for 5 min'
    (ctx.state / isolate.RECORD).write_text(json.dumps({**record, 'until': 1}))
    site.device.run('nft', 'flush', 'ruleset')
    assert site.isolate('again', address='') == 'the isolation ended while the device was off'
    assert site.others() == [True] * 12


@pytest.mark.slow
def test_permanent_until_somebody_ends_it(site: Site) -> None:
    assert site.isolate('--permanent').startswith('isolated until somebody ends it')
    site.device.run('nft', 'flush', 'ruleset')
    assert site.isolate('again', address='') == 'isolated again'
    assert site.isolate('status').startswith('isolated until somebody ends it')
    assert site.others() == [False] * 12
    # Doing it once more for a time makes it end.
    assert 'min left' in site.isolate('--minutes', '3')


@pytest.mark.slow
def test_opens_nothing_that_the_firewall_keeps_closed(site: Site) -> None:
    site.device.run(
        'nft', 'add table inet ufw; add chain inet ufw in { type filter hook input priority 0; policy drop; }'
    )
    site.isolate()
    assert site.open_to_admin() == [False, False]


def test_the_kernel_takes_the_rules(site: Site) -> None:
    assert site.isolate('try') == 'the kernel takes the rules'
    assert site.isolate('status') == 'not isolated'


def test_refuses_to_cut_everybody_off(ctx: Context, capsys: pytest.CaptureFixture[str]) -> None:
    alone = isolate.parse([])
    if caller.connection() is None:
        with pytest.raises(StepError, match='nobody would be left'):
            isolate.cut(ctx, alone)
    for arguments in (['--minutes', '0'], ['--minutes', '9', '--permanent'], ['soon']):
        with pytest.raises(SystemExit) as ended:
            isolate.parse(arguments)
        assert ended.value.code == 2
    assert '--minutes 0: 1 to 10080' in capsys.readouterr().err


def test_the_status_says_so(ctx: Context) -> None:
    record = ctx.state / isolate.RECORD
    assert service.facts(ctx)['isolated'] == ''
    record.write_text('{"keep": [], "until": 4102444800}')
    assert service.facts(ctx)['isolated'] == 'until 2100-01-01 00:00 UTC'
    assert 'Isolated until 2100-01-01 00:00 UTC. ' in cli.readable(service.answer(ctx, 'status')[1])
    record.write_text('{"keep": [], "until": null}')
    assert service.facts(ctx)['isolated'] == 'until somebody ends it'
    record.write_text('{"keep": [], "until": 1}')
    assert service.facts(ctx)['isolated'] == ''


@pytest.mark.parametrize(
    ('given', 'expected'),
    [
        ('192.0.2.7', '192.0.2.7'),
        ('::ffff:192.0.2.7', '192.0.2.7'),
        ('2001:DB8:0::7', '2001:db8::7'),
        ('fe80::7%eth0', 'fe80::7%eth0'),
        ('2001:db8::7%eth0', '2001:db8::7'),
    ],
)
def test_spells_addresses_in_one_way(given: str, expected: str) -> None:
    assert isolate.kept(given) == expected


@pytest.mark.parametrize(
    'given', ['host', '192.0.2.0/24', '127.0.0.1', '::1', '::', '224.0.0.1', 'fe80::7', 'fe80::7%"; x']
)
def test_refuses_what_is_no_address_of_a_caller(given: str) -> None:
    with pytest.raises(StepError):
        isolate.kept(given)


def test_finds_the_caller_above_sudo() -> None:
    nested = f"""
import sys
sys.path.insert(0, {str(DEVICE)!r})
from amslpr_device.incident import caller
print(caller.connection())
"""
    environment = {**os.environ, 'SSH_CONNECTION': '2001:db8::7 50000 2001:db8::1 2222'}
    command = ['sh', '-c', '"$@" && true', 'sh', 'env', '-u', 'SSH_CONNECTION', sys.executable, '-c', nested]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "('2001:db8::7', 2222)\n"
