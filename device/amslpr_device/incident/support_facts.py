"""What a support bundle may hold: every value by name and by form. What does not fit its form is left out."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from amslpr_device import service
from amslpr_device.context import Context
from amslpr_device.incident.support_units import known_units, state_lines
from amslpr_device.runner import FIRST_BOOT, PROVISION

WORD = r'[a-z][a-z-]{0,30}'
NUMBER = r'-?\d{1,15}'
DIGEST = r'(sha256:)?[0-9a-f]{8,64}'
VERSION = r'[0-9][0-9A-Za-z.+~:-]{0,60}'
PACKAGE = re.compile(rf'([a-z0-9][a-z0-9+.-]{{1,60}})\t({VERSION})\t([a-z]{{2}}) *')
# systemd's own events, by their fixed ids.
EVENTS = {
    'd9b373ed55a64feb8242e02dbe79a49c': 'failed',
    '98e322203f7a4ed290d09fe03c09fe15': 'process ended',
    'fe6faa94e7774663a0da52717891d8ef': 'out of memory',
    '5eb03494b6584870a536b337290809b3': 'restart scheduled',
}
METHODS = ('passphrase', 'tang', 'tpm2', 'usb-key', 'card')
STATES = ('working', 'waiting', 'failed', 'rescue', 'ready', 'starting')
READ = 20_000


def only(form: str, value: object) -> str:
    """The value when all of it has the form, else nothing."""
    return str(value) if re.fullmatch(form, str(value)) else ''


def members(ctx: Context, checks: bool) -> Iterator[tuple[str, str]]:
    """Name and text of each file."""
    units = known_units(ctx)
    yield 'about.json', as_json(about(ctx))
    yield 'state.json', as_json(state(ctx))
    yield 'hardware.json', as_json(hardware(ctx))
    yield 'network.json', as_json(network(ctx))
    yield 'packages.txt', ''.join(packages())
    yield 'units.txt', ''.join(state_lines(units, said('systemctl', 'list-units', '--all', '--plain', '--no-legend')))
    yield 'failures.txt', ''.join(failures(units))
    yield 'messages.txt', ''.join(messages(units))
    if checks:
        yield 'checks.json', as_json(results(ctx))


def as_json(found: dict[str, Any]) -> str:
    """For people and programs."""
    return json.dumps(found, indent=1) + '\n'


def said(*command: str) -> list[str]:
    """Lines of a program; none when it is not there."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.decode(errors='replace').splitlines()


def first(path: Path, form: str) -> str:
    """What a small file of the kernel says."""
    try:
        return only(form, path.read_bytes()[:200].decode(errors='replace').strip('\n\0 '))
    except OSError:
        return ''


def about(ctx: Context) -> dict[str, Any]:
    """Which image on which kernel."""
    image = ctx.image()
    try:
        release = ctx.at('/opt/amslpr/current').readlink().name
    except OSError:
        release = ''
    return {
        'format': 1,
        'made': datetime.now(UTC).isoformat(timespec='seconds'),
        'image': {
            'name': only(r'[a-z][a-z0-9-]{0,30}', image.get('name', '')),
            'digest': only(DIGEST, image.get('digest', '')),
        },
        'kernel': only(r'\d[0-9a-z.+-]{2,40}', os.uname().release),
        'debian': first(ctx.at('/etc/debian_version'), r'[0-9a-z./]{1,20}'),
        'application': only(r'[0-9a-f]{8,64}', release),
        'security_modules': first(ctx.at('/sys/kernel/security/lsm'), r'[a-z,]{1,100}'),
    }


def state(ctx: Context) -> dict[str, Any]:
    """How far the device is. Not its message, which may quote a program."""
    found = json.loads(service.answer(ctx, 'status')[1])
    known = {*FIRST_BOOT, *PROVISION}
    steps = {part: [one for one in found['steps'][part] if one in known] for part in ('done', 'now', 'next')}
    return {
        'state': found['state'] if found['state'] in STATES else '',
        'step': found['step'] if found['step'] in known else '',
        'steps': steps,
        'data': found['data'] if found['data'] in ('open', 'closed', 'not made') else '',
        'unlock': found['unlock'] if found['unlock'] in METHODS else '',
        'opened_by_recovery': found['opened_by_recovery'] is True,
        'recovery': 'proven' if found['recovery'] == 'proven' else 'unproven',
    }


def hardware(ctx: Context) -> dict[str, Any]:
    """Board, memory, temperatures, and room on the card."""
    memory = dict(
        re.findall(r'^(MemTotal|MemAvailable|SwapTotal|SwapFree): +(\d+) kB$', read(ctx, '/proc/meminfo'), re.M)
    )
    thermal = sorted(ctx.at('/sys/class/thermal').glob('thermal_zone*/temp'))
    alarms = sorted(ctx.at('/sys/class/hwmon').glob('hwmon*/in0_lcrit_alarm'))
    room = {}
    for name, path in (('root', '/'), ('data', '/data')):
        if ctx.at(path).is_dir():
            usage = shutil.disk_usage(ctx.at(path))
            room[name] = {'bytes': usage.total, 'free': usage.free}
    return {
        'model': first(ctx.at('/proc/device-tree/model'), r'Raspberry Pi [0-9A-Za-z .+]{1,40}'),
        'processors': os.cpu_count(),
        'memory_kib': {name: int(value) for name, value in memory.items()},
        'load': first(ctx.at('/proc/loadavg'), r'[0-9. /]{1,60}'),
        'uptime_seconds': first(ctx.at('/proc/uptime'), r'[0-9. ]{1,40}').split(' ')[0],
        'millidegrees': [first(one, NUMBER) for one in thermal],
        'under_voltage': [first(one, NUMBER) for one in alarms],
        'room': room,
    }


def read(ctx: Context, path: str) -> str:
    """A file of the kernel, empty when it is not there."""
    try:
        return ctx.at(path).read_text(errors='replace')
    except OSError:
        return ''


def network(ctx: Context) -> dict[str, Any]:
    """Which ports have a line. No address of anybody."""
    found = {}
    for folder in sorted(ctx.at('/sys/class/net').glob('*')):
        name = only(r'(lo|eth|end|wlan|enp|enx|usb|vlan)[0-9a-z.]{0,12}', folder.name)
        if name:
            facts = {key: first(folder / key, rf'{WORD}|{NUMBER}') for key in ('operstate', 'carrier', 'speed', 'mtu')}
            counts = ('rx_bytes', 'tx_bytes', 'rx_errors', 'tx_errors', 'rx_dropped')
            # An interface by its hardware address would name the board.
            kind = 'enx' if name.startswith('enx') else name
            found[kind] = facts | {key: first(folder / 'statistics' / key, NUMBER) for key in counts}
    return found


def packages() -> Iterator[str]:
    """Name, version, state."""
    for line in said('dpkg-query', '-W', '-f', '${Package}\t${Version}\t${db:Status-Abbrev}\n'):
        found = PACKAGE.fullmatch(line)
        if found:
            yield f'{found[1]} {found[2]} {found[3]}\n'


def entries(*arguments: str) -> Iterator[dict[str, Any]]:
    """The newest entries of the journal, of which the given fields are used."""
    for line in said('journalctl', '--no-pager', '--output=json', '-n', str(READ), *arguments):
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            yield found


def failures(units: set[str]) -> Iterator[str]:
    """What systemd said of units that failed: time, unit, event, exit code. Its own fields, not its text."""
    chosen = [f'MESSAGE_ID={one}' for one in EVENTS]
    shown = '--output-fields=UNIT,MESSAGE_ID,EXIT_CODE,EXIT_STATUS'
    # Any program may write such fields; only systemd is process 1.
    for found in entries(shown, '_PID=1', *chosen):
        unit, event = plain(units, found.get('UNIT')), EVENTS.get(str(found.get('MESSAGE_ID')))
        if unit and event:
            code = (
                only('exited|killed|dumped', found.get('EXIT_CODE', '')),
                only(r'\d{1,3}|[A-Z]{2,6}\d?', found.get('EXIT_STATUS', '')),
            )
            yield f'{when(found)} {unit} {event} {" ".join(one for one in code if one)}'.rstrip() + '\n'


def messages(units: set[str]) -> Iterator[str]:
    """How many entries each unit wrote, by priority: no text."""
    counted: Counter[tuple[str, str]] = Counter()
    for found in entries('--output-fields=_SYSTEMD_UNIT,PRIORITY'):
        unit, priority = plain(units, found.get('_SYSTEMD_UNIT')), only(r'[0-7]', found.get('PRIORITY', ''))
        if unit and priority:
            counted[unit, priority] += 1
    for (unit, priority), count in sorted(counted.items()):
        yield f'{unit} priority {priority}: {count}\n'


def plain(units: set[str], name: object) -> str:
    """A unit that is a file of the system, without its instance; empty for every other name."""
    unit = re.sub(r'@.*(\.[a-z]+)$', r'@\1', str(name))
    return unit if unit in units else ''


def when(entry: dict[str, Any]) -> str:
    """Time of an entry."""
    stamp = only(r'\d{10,18}', entry.get('__REALTIME_TIMESTAMP', ''))
    return datetime.fromtimestamp(int(stamp) / 1e6, UTC).isoformat(timespec='seconds') if stamp else 'unknown'


def results(ctx: Context) -> dict[str, str]:
    """Which checks pass, without what they saw."""
    from amslpr_device import audit

    every = audit.answers(audit.checks(ctx))
    return {one['id']: one['outcome'] for one in every if only(r'[a-z0-9./-]{3,80}', one['id'])}
