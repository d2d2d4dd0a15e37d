"""What is wrong is seen, told once, told again while it lasts, and told when it is over."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from amslpr_device import service
from amslpr_device.context import Context
from amslpr_device.integrity import state
from amslpr_device.logs import forward
from amslpr_device.mail import spool
from amslpr_device.monitor import alerts, command, digest, facts
from amslpr_device.monitor.facts import DAY, HOUR
from amslpr_device.monitor.problem import Problem
from amslpr_device.steps import site

NOW = 1_800_000_000.0
BANS = """2026-11-25 03:00:00,000 fail2ban.filter [9]: INFO    [sshd] Found 192.0.2.7 - 2026-11-25 03:00:00
2026-11-25 03:00:01,000 fail2ban.filter [9]: INFO    [amslpr-login] Found 2001:db8::7 - 2026-11-25 03:00:01
2026-11-25 03:00:02,000 fail2ban.actions [9]: NOTICE  [sshd] Ban 192.0.2.7
2026-11-25 04:00:02,000 fail2ban.actions [9]: NOTICE  [sshd] Unban 192.0.2.7
"""


class Programs:
    """What systemd and the journal would say."""

    def __init__(self) -> None:
        self.failed = ''
        self.kernel = ''
        self.fail2ban = ''

    def __call__(self, _ctx: Context, arguments: list[str], **_: object) -> bytes:
        if arguments[0] == 'systemctl':
            return self.failed.encode()
        assert arguments[0] == 'journalctl'
        return (self.kernel if '--dmesg' in arguments else self.fail2ban).encode()


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> Programs:
    found = Programs()
    monkeypatch.setattr(Context, 'run', lambda self, arguments, **more: found(self, arguments, **more))
    return found


@pytest.fixture
def well(ctx: Context, programs: Programs, monkeypatch: pytest.MonkeyPatch) -> Context:
    """A device on which nothing is wrong, with open data."""
    texts = {
        'proc/meminfo': 'MemTotal: 1000000 kB\nMemFree: 10 kB\nMemAvailable: 600000 kB\n',
        'proc/loadavg': '0.10 0.20 0.30 1/100 1000\n',
        'proc/uptime': '7200.00 100.00\n',
        'sys/class/thermal/thermal_zone0/temp': '51000\n',
        'sys/class/hwmon/hwmon0/name': 'rpi_volt\n',
        'sys/class/hwmon/hwmon0/in0_lcrit_alarm': '0\n',
        'run/systemd/timesync/synchronized': '',
        'var/lib/apt/periodic/update-stamp': '',
        'var/lib/apt/periodic/upgrade-stamp': '',
        'var/backups/amslpr/amslpr-1.tar.gz.age': 'x',
        'var/backups/amslpr/amslpr-1.json': '{"copies": [{"to": "the operator", "at": ""}]}',
        'var/lib/amslpr-device/ready': '',
        'etc/apt/apt.conf.d/52amslpr-updates': 'Unattended-Upgrade::Automatic-Reboot "true";\n',
    }
    for path, text in texts.items():
        ctx.at(path).parent.mkdir(parents=True, exist_ok=True)
        ctx.at(path).write_text(text)
        set_time(ctx, path, NOW - 600)
    for path in ('data', 'var/spool/amslpr', 'etc/amslpr/secrets'):
        ctx.at(path).mkdir(parents=True, exist_ok=True)
    monkeypatch.setattr(Context, 'is_mounted', lambda self, path: path == '/data')
    monkeypatch.setattr(site, 'recall', lambda ctx: True)
    monkeypatch.setattr(time, 'time', lambda: NOW)
    monkeypatch.setattr(facts.os, 'statvfs', lambda path: disk(50, 10))
    return ctx


def set_time(ctx: Context, path: str, seconds: float) -> None:
    os.utime(ctx.at(path), (seconds, seconds))


def disk(used: int, files: int) -> os.statvfs_result:
    """A file system that has used so many percent."""
    return os.statvfs_result((4096, 4096, 100, 100 - used, 100 - used, 100, 100 - files, 100 - files, 0, 255))


def problems(ctx: Context) -> dict[str, Problem]:
    return {one.key: one for one in facts.everything(ctx, command.DEFAULTS, NOW)}


def test_nothing_is_wrong(well: Context) -> None:
    assert problems(well) == {}


def broken(name: str, ctx: Context, programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Breaks one thing."""

    def put(path: str, text: str, when: float = NOW) -> None:
        ctx.at(path).write_text(text)
        set_time(ctx, path, when)

    changes: dict[str, Any] = {
        'unit:nginx.service': lambda: setattr(programs, 'failed', 'nginx.service loaded failed failed nginx\n'),
        'disk:/': lambda: monkeypatch.setattr(facts.os, 'statvfs', lambda path: disk(85, 1)),
        'files:/data': lambda: monkeypatch.setattr(facts.os, 'statvfs', lambda path: disk(1, 99)),
        'memory': lambda: put('proc/meminfo', 'MemTotal: 1000000 kB\nMemAvailable: 90000 kB\n'),
        'load': lambda: put('proc/loadavg', '900.0 900.0 900.0 1/100 1000\n'),
        'temperature': lambda: put('sys/class/thermal/thermal_zone0/temp', '80500\n'),
        'voltage': lambda: put('sys/class/hwmon/hwmon0/in0_lcrit_alarm', '1\n'),
        'card': lambda: setattr(programs, 'kernel', 'EXT4-fs error (device mmcblk0p2): bad block\n'),
        'out-of-memory': lambda: setattr(programs, 'kernel', 'Out of memory: Killed process 7 (python3)\n'),
        'bans': lambda: setattr(programs, 'fail2ban', BANS),
        'log-ins': lambda: setattr(programs, 'fail2ban', BANS.splitlines()[0].join(['', '\n']) * 20),
        'reboot': lambda: put('run/reboot-required', '', NOW - 27 * HOUR),
        'backup': lambda: [
            put('var/backups/amslpr/amslpr-1.tar.gz.age', '', NOW - 51 * HOUR),
        ],
        'copy': lambda: not_copied(),
        'push': lambda: push_fails(),
        'lists': lambda: old('var/lib/apt/periodic/update-stamp'),
        'upgrades': lambda: old('var/lib/apt/periodic/upgrade-stamp'),
        'clock': lambda: ctx.at('run/systemd/timesync/synchronized').unlink(),
        'logs': lambda: logs_fail(),
        'integrity': lambda: differs({'count': 1, 'differences': {'etc/x': 'is new'}}),
        'audit': lambda: differs({'failed': ['a/b: C']}),
        'mail': lambda: spool.put_note(ctx, {'error': 'no', 'since': NOW - 2 * HOUR}),
        'usb:0403:6001 at port 1-2': lambda: refuse_usb(ctx),
        'look:memory': lambda: ctx.at('proc/meminfo').unlink(),
    }

    def differs(found: dict[str, Any]) -> None:
        ctx.at('/usr/share/amslpr').mkdir(parents=True, exist_ok=True)
        ctx.at('/usr/share/amslpr/integrity.json').write_text('{}')
        state.put_last(ctx, {'time': NOW, **found})

    def not_copied() -> None:
        put('var/backups/amslpr/amslpr-1.json', '{"name": "amslpr-1"}')
        set_time(ctx, 'var/lib/amslpr-device/ready', NOW - 51 * HOUR)

    def push_fails() -> None:
        put('etc/amslpr/secrets/backup-push.json', '{}')
        put('var/spool/amslpr/push.json', json.dumps({'error': 'no', 'since': NOW - 2 * HOUR}))

    def logs_fail() -> None:
        ctx.site['logs'] = {'server': 'logs.example'}
        forward.put_note(ctx, {'error': 'no', 'since': NOW - 2 * HOUR})

    def old(path: str) -> None:
        set_time(ctx, path, NOW - 4 * DAY)
        set_time(ctx, 'var/lib/amslpr-device/ready', NOW - 9 * DAY)

    changes[name]()


KEYS = [
    *'unit:nginx.service disk:/ files:/data memory load temperature voltage card out-of-memory bans log-ins reboot '
    'backup copy push lists upgrades clock mail logs integrity audit look:memory'.split(),
    'usb:0403:6001 at port 1-2',
]


@pytest.mark.parametrize('name', KEYS)
def test_each_is_seen(name: str, well: Context, programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    broken(name, well, programs, monkeypatch)
    found = problems(well)
    assert name in found
    # And nothing else is, but on the other file system, which a test cannot fill alone.
    assert [key for key in found if key != name and not key.startswith(name.split(':')[0])] == []


@pytest.mark.parametrize('look', facts.LOOKS, ids=lambda one: one.__name__)
def test_every_look_has_a_breakage_above(
    look: Any, well: Context, programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in KEYS:
        with monkeypatch.context() as undone:
            if not name.startswith('look:'):
                broken(name, well, programs, undone)
                if name in {one.key for one in look(well, command.DEFAULTS, NOW)}:
                    return
    pytest.fail('a new look has to come with its breakage')


def test_addresses_are_named_and_unbans_are_none(well: Context, programs: Programs) -> None:
    programs.fail2ban = BANS
    failures, bans = facts.attempts(well)
    assert failures == {'192.0.2.7': 1, '2001:db8::7': 1} and bans == {'192.0.2.7': 1}
    assert '192.0.2.7' in problems(well)['bans'].text


@pytest.mark.parametrize(
    ('kernel', 'low'),
    [
        ('hwmon hwmon1: Undervoltage detected!', True),
        ('Under-voltage detected! (0x00050005)', True),
        ('hwmon hwmon1: Voltage normalised', False),
    ],
)
def test_a_voltage_that_dropped_between_two_looks(well: Context, programs: Programs, kernel: str, low: bool) -> None:
    programs.kernel = kernel
    assert ('voltage' in problems(well)) is low


@pytest.mark.parametrize(
    ('device', 'hours', 'told'),
    [('', 1, False), ('', 27, True), ('Unattended-Upgrade::Automatic-Reboot "false";\n', 0.1, True)],
)
def test_a_restart_is_told_when_nobody_makes_it(well: Context, device: str, hours: float, told: bool) -> None:
    well.at('/etc/apt/apt.conf.d/53amslpr-reboot-minute').write_text(device)
    well.at('/run/reboot-required').write_text('')
    set_time(well, 'run/reboot-required', NOW - hours * HOUR)
    assert ('reboot' in problems(well)) is told


@pytest.mark.parametrize(('seconds', 'told'), [(-600, False), (-2 * DAY, True), (2 * HOUR, True), (600, False)])
def test_a_clock_that_was_set_is_told(well: Context, seconds: float, told: bool) -> None:
    set_time(well, 'run/systemd/timesync/synchronized', NOW + seconds)
    assert ('clock' in problems(well)) is told


@pytest.mark.parametrize(('minutes', 'told'), [(0, None), (4, None), (90, 'forward by 90'), (-90, 'back by 90')])
def test_a_clock_that_was_set_since_the_last_look(well: Context, minutes: int, told: str | None) -> None:
    assert 'clock-set' not in problems(well)
    now = NOW + 60 * minutes
    set_time(well, 'run/systemd/timesync/synchronized', now)
    found = [one.text for one in facts.clock(well, command.DEFAULTS, now) if one.key == 'clock-set']
    assert len(found) == (1 if told else 0) and all(str(told) in one for one in found)
    # It is told of once; drift in small steps is none.
    assert [one.key for one in facts.clock(well, command.DEFAULTS, now + 1)] == []


def test_a_device_that_just_started_has_time_to_find_its_server(well: Context) -> None:
    well.at('/run/systemd/timesync/synchronized').unlink()
    well.at('/proc/uptime').write_text('600.0 1.0\n')
    assert 'clock' not in problems(well)


def step(
    record: dict[str, Any], found: list[Problem], at: float, **more: Any
) -> tuple[list[str], list[str], list[str]]:
    news = alerts.update(record, found, at, DAY, **more)
    return tuple([one['text'] for one in part] for part in (news.raised, news.again, news.over))  # type: ignore[return-value]


def test_an_alert_is_told_once_again_and_over() -> None:
    record: dict[str, Any] = {'alerts': {}, 'history': []}
    hot = Problem('temperature', 'hot', runs=2)
    assert step(record, [hot], 0) == ([], [], [])
    assert step(record, [hot], 300) == (['hot'], [], [])
    for at in range(600, 86_400, 300):
        assert step(record, [hot], at) == ([], [], [])
    assert step(record, [hot], 86_700) == ([], ['hot'], [])
    # It comes and goes: one alert.
    assert step(record, [], 87_000) == ([], [], [])
    assert step(record, [], 87_300) == ([], [], [])
    assert step(record, [hot], 87_600) == ([], [], [])
    assert [step(record, [], at)[2] for at in (88_000, 88_300, 88_600)] == [[], [], ['hot']]
    assert record['alerts'] == {}
    assert [one['what'] for one in record['history']] == ['raised', 'over']


def test_one_look_at_it_is_no_alert() -> None:
    record: dict[str, Any] = {'alerts': {}, 'history': []}
    step(record, [Problem('memory', 'full', runs=3)], 0)
    step(record, [], 300)
    assert record['alerts'] == {}


def test_a_failed_unit_leaves_the_others_alone() -> None:
    record: dict[str, Any] = {'alerts': {}, 'history': []}
    step(record, [Problem('disk:/', 'full')], 0)
    for at in range(1, 9):
        step(record, [facts.failed('x.service')], at, whole=False)
    assert sorted(record['alerts']) == ['disk:/', 'unit:x.service']


def look(ctx: Context, *rest: str) -> None:
    assert command.main(list(rest) or ['look'], ctx) == 0


def set_relay(ctx: Context) -> None:
    ctx.site['mail'] = {'server': 'smtp.example', 'from': 'a@b.example', 'to': ['c@d.example']}


def mails(ctx: Context) -> list[str]:
    return [path.read_text() for path in spool.waiting(ctx)]


def test_one_mail_for_what_is_new_and_none_for_what_is_not(well: Context, programs: Programs) -> None:
    set_relay(well)
    look(well)
    assert mails(well) == []
    programs.failed = 'nginx.service loaded failed failed nginx\nufw.service loaded failed failed ufw\n'
    for _ in range(4):
        look(well)
    (mail,) = mails(well)
    assert 'Subject: [gate-north] alert: nginx.service failed (and 1 more)' in mail
    assert 'ufw.service failed. Next: sudo journalctl -u ufw.service' in mail
    programs.failed = 'ufw.service loaded failed failed ufw\n'
    for _ in range(4):
        look(well)
    assert len(mails(well)) == 2 and 'Subject: [gate-north] over: nginx.service failed' in mails(well)[1]


def test_a_unit_tells_of_its_own_failure_at_once(well: Context, programs: Programs) -> None:
    set_relay(well)
    look(well, 'failed', 'amslpr-backup.service')
    programs.failed = 'amslpr-backup.service loaded failed failed x\n'
    look(well)
    (mail,) = mails(well)
    assert 'amslpr-backup.service failed' in mail


def test_without_a_relay_it_ends_in_journal_status_and_screen(
    well: Context, programs: Programs, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('JOURNAL_STREAM', '8:1')
    programs.failed = 'nginx.service loaded failed failed nginx\n'
    look(well)
    assert '<1>nginx.service failed. Next: ' in capsys.readouterr().out
    assert mails(well) == []
    (told,) = service.facts(well)['alerts']
    assert told['text'] == 'nginx.service failed'


def test_that_mail_fails_is_in_no_mail(well: Context, capsys: pytest.CaptureFixture[str]) -> None:
    set_relay(well)
    spool.put_note(well, {'error': 'nobody there', 'since': NOW - 2 * HOUR})
    look(well)
    assert mails(well) == [] and 'mail cannot be sent: nobody there' in capsys.readouterr().out


def test_a_restart_tells_nothing_twice(well: Context, programs: Programs, capsys: pytest.CaptureFixture[str]) -> None:
    programs.failed = 'nginx.service loaded failed failed nginx\n'
    look(well)
    (well.run_folder / 'alerts.json').unlink()
    capsys.readouterr()
    look(well)
    assert capsys.readouterr().out == '1 alert(s)\n'


def test_the_card_is_written_when_something_changed_only(well: Context, programs: Programs) -> None:
    disk_record = well.at('/var/spool/amslpr/alerts.json')
    programs.failed = 'nginx.service loaded failed failed nginx\n'
    look(well)
    before = disk_record.stat().st_ino
    for _ in range(5):
        look(well)
    assert disk_record.stat().st_ino == before


def test_closed_data_takes_nothing(well: Context, programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Context, 'is_mounted', lambda self, path: False)
    set_relay(well)
    programs.failed = 'nginx.service loaded failed failed nginx\n'
    look(well)
    assert [one['text'] for one in service.facts(well)['alerts']] == ['nginx.service failed']
    assert list(well.at('/var/spool/amslpr').iterdir()) == []


def test_the_report_has_every_fact(well: Context, programs: Programs) -> None:
    set_relay(well)
    programs.fail2ban = BANS
    programs.failed = 'nginx.service loaded failed failed nginx\n'
    look(well)
    for path in spool.waiting(well):
        path.unlink()
    look(well, 'digest')
    (mail,) = mails(well)
    assert 'Subject: [gate-north] daily report: 2 alert(s)' in mail
    for line in ('Root: 50 % full', 'Memory: 40 % in use', '2 failed, 1 bans of 1 addresses', 'Restart needed: no'):
        assert line in mail
    assert 'not known' not in mail


def test_the_report_says_what_it_cannot_know(well: Context) -> None:
    well.at('/proc/meminfo').unlink()
    assert 'Memory: not known' in digest.text(well, command.DEFAULTS, NOW)


def test_odd_words_are_refused(ctx: Context) -> None:
    assert command.main(['looks'], ctx) == 2


def test_a_record_that_is_no_record_is_made_again(well: Context) -> None:
    for path in alerts.places(well):
        Path(path).write_text('{"alerts": [')
    look(well)
    assert alerts.read(well)['alerts'] == {}


def refuse_usb(ctx: Context) -> None:
    """A serial adapter that no rule admits."""
    plug(ctx, '1-2', '0403', '6001')
    interface(ctx, '1-2:1.0', 'ff', '0')


def plug(ctx: Context, port: str, vendor: str, product: str) -> None:
    """A device."""
    folder = ctx.at(f'/sys/bus/usb/devices/{port}')
    folder.mkdir(parents=True)
    (folder / 'idVendor').write_text(f'{vendor}\n')
    (folder / 'idProduct').write_text(f'{product}\n')


def interface(ctx: Context, name: str, kind: str, authorized: str) -> None:
    """One of its interfaces."""
    folder = ctx.at(f'/sys/bus/usb/devices/{name}')
    folder.mkdir(parents=True)
    (folder / 'bInterfaceClass').write_text(f'{kind}\n')
    (folder / 'authorized').write_text(f'{authorized}\n')


def test_usb_devices_that_are_not_admitted(well: Context) -> None:
    refuse_usb(well)
    plug(well, '1-1', '0781', '5567')
    interface(well, '1-1:1.0', '08', '0')
    interface(well, '1-1:1.1', '03', '1')
    disk, serial = (one.text for one in facts.everything(well, command.DEFAULTS, NOW))
    assert disk == 'a USB device that is not admitted is plugged in: 0781:5567 at port 1-1 (disk)'
    assert serial.endswith('0403:6001 at port 1-2 (class ff)')
    # The stick with the key stays in its port, and is used only while it is read.
    well.site['unlock'] = {'method': 'usb-key'}
    assert [one.key for one in facts.everything(well, command.DEFAULTS, NOW)] == ['usb:0403:6001 at port 1-2']
