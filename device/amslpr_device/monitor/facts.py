"""Looks at the device: each function returns what is wrong just now, in words for a person.

Reads files of the kernel and asks systemd and the journal; changes nothing and needs no network.
"""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from amslpr_device.context import Context, StepError
from amslpr_device.files import write
from amslpr_device.monitor import usb
from amslpr_device.monitor.problem import Problem

HOUR, DAY = 3600, 86_400


def everything(ctx: Context, options: dict[str, Any], now: float) -> list[Problem]:
    """All that is wrong. A look that fails is a problem of its own: silence must mean that all is well."""
    found: list[Problem] = []
    for look in LOOKS:
        try:
            found.extend(look(ctx, options, now))
        except (OSError, ValueError, StepError) as error:
            found.append(Problem(f'look:{look.__name__}', f'{look.__name__} cannot be looked at: {error}', runs=2))
    return found


def units(ctx: Context, _options: dict[str, Any], _now: float) -> Iterator[Problem]:
    """Units that failed."""
    said = ctx.run(['systemctl', 'list-units', '--failed', '--plain', '--no-legend', '--no-pager'])
    for line in said.decode().splitlines():
        name = line.split(' ', 1)[0]
        if name:
            yield failed(name)


def failed(name: str) -> Problem:
    """A unit that failed."""
    return Problem(f'unit:{name}', f'{name} failed', f'sudo journalctl -u {name}')


def room(ctx: Context, options: dict[str, Any], _now: float) -> Iterator[Problem]:
    """File systems that are nearly full, by bytes or by files."""
    for path in ('/', '/data', '/boot/firmware'):
        if path != '/' and not ctx.is_mounted(path):
            continue
        found = os.statvfs(ctx.at(path))
        used = percent(found.f_blocks - found.f_bavail, found.f_blocks)
        files = percent(found.f_files - found.f_ffree, found.f_files)
        if used >= options['diskPercent']:
            yield Problem(
                f'disk:{path}', f'{path} is {used} % full', f'sudo du -xh --max-depth=2 {path} | sort -h | tail'
            )
        if files >= options['diskPercent']:
            yield Problem(
                f'files:{path}',
                f'{path} has used {files} % of its files',
                f'sudo du -x --inodes {path} | sort -n | tail',
            )


def percent(part: float, whole: float) -> int:
    """Of 100, rounded down; 0 of nothing."""
    return int(100 * part / whole) if whole else 0


def memory_used(ctx: Context) -> int:
    """Percent of the memory that cannot be had without taking it from somebody."""
    found = dict(re.findall(r'^(\w+):\s+(\d+) kB$', ctx.at('/proc/meminfo').read_text(), re.M))
    total = int(found['MemTotal'])
    return percent(total - int(found.get('MemAvailable', total)), total)


def memory(ctx: Context, options: dict[str, Any], _now: float) -> Iterator[Problem]:
    """Little memory left, for a while."""
    used = memory_used(ctx)
    if used >= options['memoryPercent']:
        yield Problem('memory', f'{used} % of the memory are in use', 'systemd-cgtop -n 1 -b -m', runs=3)


def load(ctx: Context, options: dict[str, Any], _now: float) -> Iterator[Problem]:
    """More work than the processor does, for a quarter of an hour."""
    fifteen = float(ctx.at('/proc/loadavg').read_text().split()[2])
    cores = os.cpu_count() or 1
    if fifteen / cores >= options['loadPerCore']:
        yield Problem(
            'load', f'the load was {fifteen:.1f} for 15 minutes, on {cores} cores', 'systemd-cgtop -n 1 -b', runs=2
        )


def hottest(ctx: Context) -> float | None:
    """Degrees Celsius of the hottest sensor; None without one."""
    found = [int(path.read_text()) / 1000 for path in ctx.at('/sys/class/thermal').glob('thermal_zone*/temp')]
    return max(found) if found else None


def temperature(ctx: Context, options: dict[str, Any], _now: float) -> Iterator[Problem]:
    """Too hot: from 80 to 85 degrees on a Pi makes itself slow."""
    found = hottest(ctx)
    if found is not None and found >= options['temperature']:
        yield Problem(
            'temperature', f'the processor has {found:.0f} °C', 'is the case open to air, and out of the sun?', runs=2
        )


def power(ctx: Context, _options: dict[str, Any], _now: float) -> Iterator[Problem]:
    """The supply is too weak: the firmware says so, now or within the last hour."""
    alarms = [
        path.with_name('in0_lcrit_alarm')
        for path in ctx.at('/sys/class/hwmon').glob('hwmon*/name')
        if path.read_text().strip() == 'rpi_volt'
    ]
    low = any(path.read_text().strip() == '1' for path in alarms)
    if low or any(re.search(r'under-?voltage detected', line, re.I) for line in journal(ctx, '--dmesg')):
        yield Problem('voltage', 'the supply voltage is, or was, too low', 'use the official supply and a short cable')


def card(ctx: Context, _options: dict[str, Any], _now: float) -> Iterator[Problem]:
    """The kernel complains about the card, or ended a program for want of memory."""
    lines = journal(ctx, '--dmesg')
    if bad := [line for line in lines if re.search(r'EXT4-fs error|I/O error|mmc\d+: .*(error|timeout)', line)]:
        yield Problem('card', f'the card has errors: {bad[-1]}', 'make a backup, and write another card')
    if bad := [line for line in lines if re.search(r'Out of memory: Killed', line)]:
        yield Problem('out-of-memory', bad[-1], 'sudo journalctl -k -g "Out of memory"')


def journal(ctx: Context, *match: str) -> list[str]:
    """Messages of the last hour."""
    said = ctx.run(['journalctl', '--no-pager', '--quiet', '--since=-1h', '--output=cat', *match], ok=(0, 1))
    return said.decode(errors='replace').splitlines()


def attempts(ctx: Context, since: str = '-1h') -> tuple[Counter[str], Counter[str]]:
    """Failed log-ins and bans by address, over SSH and on the web: what fail2ban found in the journal."""
    said = ctx.run(
        ['journalctl', '--no-pager', '--quiet', f'--since={since}', '--output=cat', '--unit=fail2ban.service'],
        ok=(0, 1),
    )
    found = re.findall(r'\[[\w-]+\] (Found|Ban) ([0-9A-Fa-f.:]+)', said.decode(errors='replace'))
    failures = Counter(address for what, address in found if what == 'Found')
    return failures, Counter(address for what, address in found if what == 'Ban')


def log_ins(ctx: Context, options: dict[str, Any], _now: float) -> Iterator[Problem]:
    """Bans, and guessing that stays below them."""
    failures, bans = attempts(ctx)
    if bans:
        yield Problem('bans', f'banned in the last hour: {listed(bans)}', 'sudo fail2ban-client status sshd')
    count = sum(failures.values())
    if count >= options['failedLogins']:
        text = f'{count} failed log-ins in the last hour, from {listed(failures)}'
        yield Problem('log-ins', text, 'sudo journalctl -u ssh -u nginx --since -1h')


def listed(addresses: Counter[str]) -> str:
    """The busiest addresses."""
    names = [address for address, _ in addresses.most_common(10)]
    return ', '.join(names) + (f' and {len(addresses) - 10} more' if len(addresses) > 10 else '')


def automatic_reboot(ctx: Context) -> bool:
    """Whether updates may restart the device: what the image says, unless the device turned it off for itself."""
    found = True
    for path in sorted(ctx.at('/etc/apt/apt.conf.d').glob('5*amslpr-*')):
        for value in re.findall(r'^Unattended-Upgrade::Automatic-Reboot "(\w+)";', path.read_text(), re.M):
            found = value == 'true'
    return found


def reboot(ctx: Context, _options: dict[str, Any], now: float) -> Iterator[Problem]:
    """A restart is due: at once where a person has to do it, else when the device's own minute went by without one."""
    path = ctx.at('/run/reboot-required')
    if not path.exists():
        return
    if not automatic_reboot(ctx):
        yield Problem('reboot', 'an update needs a restart, which a person has to do', 'sudo systemctl reboot')
    elif now - path.stat().st_mtime > DAY + 2 * HOUR:
        yield Problem(
            'reboot', 'an update needs a restart, and its window went by without one', 'sudo systemctl reboot'
        )


def age(ctx: Context, path: str, now: float) -> float:
    """Seconds since a file was made, or since the device was finished where that is later or the only one."""
    times = [one.stat().st_mtime for one in (ctx.at(path), ctx.state / 'ready') if one.exists()]
    return now - max(times) if times else 0


def newest_backup(ctx: Context) -> float | None:
    """When the newest archive was made; None without one."""
    times = [path.stat().st_mtime for path in ctx.at('/var/backups/amslpr').glob('*.age')]
    return max(times) if times else None


def backup(ctx: Context, _options: dict[str, Any], now: float) -> Iterator[Problem]:
    """No backup for two nights, whatever kept it."""
    if not ctx.is_mounted('/data'):
        return
    newest = newest_backup(ctx)
    late = now - newest > 50 * HOUR if newest else age(ctx, '/nowhere', now) > 50 * HOUR
    if late:
        # A device that was off makes up for it within minutes.
        yield Problem('backup', 'there was no backup for two days', 'sudo amslpr-device backup create', runs=6)


def copy(ctx: Context, _options: dict[str, Any], now: float) -> Iterator[Problem]:
    """No copy of any backup of the last days is anywhere else. A new device has the time that its first backup has."""
    from amslpr_device import backup_records
    from amslpr_device.backup_places import SUFFIX, Places

    places = Places(ctx.root)
    if not ctx.is_mounted('/data') or age(ctx, '/nowhere', now) <= 50 * HOUR:
        return
    for name in backup_records.archives(places):
        made = (places.backups / (name + SUFFIX)).stat().st_mtime
        if abs(now - made) < 8 * DAY and backup_records.copies(places, name):
            return
    hint = 'sudo amslpr-device backup push set, or fetch one: both in the run-book backup'
    # A device that was off makes up for it within minutes.
    yield Problem('copy', 'no backup of the last 8 days has a copy off this card, and is lost with it', hint, runs=6)


def push(ctx: Context, _options: dict[str, Any], now: float) -> Iterator[Problem]:
    """The server of the operator takes no copies."""
    from amslpr_device.mail import spool
    from amslpr_device.push import settings

    note: dict[str, Any] = settings.note(ctx) if spool.is_open(ctx) and settings.is_set(ctx) else {}
    if note.get('error') and now - float(note.get('since', now)) > HOUR:
        yield Problem('push', f'backups are not copied away: {note["error"]}', 'sudo amslpr-device backup push test')


def updates(ctx: Context, _options: dict[str, Any], now: float) -> Iterator[Problem]:
    """No package list was taken for days: no network, or lists that are not signed or have expired."""
    days = int(age(ctx, '/var/lib/apt/periodic/update-stamp', now) // DAY)
    if days >= 3:
        text = f'no list of updates was taken for {days} days: no network, a wrong clock, or lists that are not signed'
        yield Problem('lists', text, 'sudo apt update', runs=2)
    days = int(age(ctx, '/var/lib/apt/periodic/upgrade-stamp', now) // DAY)
    if days >= 3:
        yield Problem('upgrades', f'no updates were installed for {days} days', 'sudo unattended-upgrade -v', runs=2)


def kept(ctx: Context) -> float | None:
    """When the clock was last compared with a time server since the start; None when it was not."""
    try:
        return ctx.at('/run/systemd/timesync/synchronized').stat().st_mtime
    except FileNotFoundError:
        return None


def uptime(ctx: Context) -> float:
    """Seconds since the start."""
    return float(ctx.at('/proc/uptime').read_text().split()[0])


def clock(ctx: Context, _options: dict[str, Any], now: float) -> Iterator[Problem]:
    """The clock may be wrong: no time server was reached for long, or it was set by much since the last look."""
    last = kept(ctx)
    hint = 'timedatectl timesync-status; your own servers: network.timeServers of the configuration'
    if last is None and uptime(ctx) > HOUR:
        yield Problem('clock', 'the clock was compared with no time server since the start: it may be wrong', hint)
    elif last is not None and (now - last > DAY or last - now > HOUR):
        yield Problem('clock', 'the clock was compared with no time server for a day: it may be wrong', hint)
    jump = jumped(ctx, now)
    if jump:
        way = 'forward' if jump > 0 else 'back'
        text = f'the clock was set {way} by {abs(jump) / 60:.0f} minutes: what was noted before has wrong times'
        yield Problem('clock-set', text, hint)


def jumped(ctx: Context, now: float) -> float:
    """Seconds by which the clock was set since the last look of this start, 0 for less than five minutes."""
    note = ctx.run_folder / 'clock'
    start = now - uptime(ctx)
    before = float(note.read_text()) if note.exists() else start
    if not note.exists() or abs(start - before) >= 300:
        note.parent.mkdir(parents=True, exist_ok=True)
        write(note, f'{start:.0f}\n', 0o600)
    return start - before if abs(start - before) >= 300 else 0


def mail(ctx: Context, _options: dict[str, Any], now: float) -> Iterator[Problem]:
    """The relay takes nothing; that is for the journal and the screen."""
    from amslpr_device.mail import spool

    note: dict[str, Any] = spool.note(ctx) if spool.is_open(ctx) else {}
    if note.get('error') and now - float(note.get('since', now)) > HOUR:
        yield Problem('mail', f'mail cannot be sent: {note["error"]}', 'sudo amslpr-device mail test')


def stamp(path: Path) -> str:
    """The date of a file, or `never`."""
    try:
        return time.strftime('%F %H:%M', time.localtime(path.stat().st_mtime))
    except OSError:
        return 'never'


def logs(ctx: Context, _options: dict[str, Any], now: float) -> Iterator[Problem]:
    """The central log server takes nothing."""
    from amslpr_device.logs import forward
    from amslpr_device.mail import spool

    note: dict[str, Any] = forward.note(ctx) if spool.is_open(ctx) and forward.settings(ctx) else {}
    if note.get('error') and now - float(note.get('since', now)) > HOUR:
        yield Problem('logs', f'logs cannot be sent: {note["error"]}', 'sudo amslpr-device logs test')


def integrity(ctx: Context, _options: dict[str, Any], now: float) -> Iterator[Problem]:
    """Files that differ from the manifest, checks that failed, or no look for days."""
    from amslpr_device.integrity import state

    if not ctx.at('/usr/share/amslpr/integrity.json').exists():
        return
    last = state.last(ctx)
    if last.get('error'):
        yield Problem('integrity', f'files cannot be compared: {last["error"]}', 'sudo amslpr-device integrity check')
    elif count := last.get('count', 0):
        some = ', '.join(f'/{path} {what}' for path, what in list(last['differences'].items())[:5])
        yield Problem('integrity', f'{count} paths differ from the image: {some}', 'sudo amslpr-device integrity show')
    if failed := last.get('failed', []):
        yield Problem('audit', f'{len(failed)} checks failed: {"; ".join(failed[:5])}', 'sudo amslpr-device audit')
    days = int(min(age(ctx, '/nowhere', now), now - float(last.get('time', 0))) // DAY)
    if days >= 3:
        yield Problem(
            'integrity-late', f'files were not compared for {days} days', 'sudo amslpr-device integrity check'
        )


LOOKS = (
    usb.refused,
    logs,
    integrity,
    units,
    room,
    memory,
    load,
    temperature,
    power,
    log_ins,
    card,
    reboot,
    backup,
    copy,
    push,
    updates,
    clock,
    mail,
)
