"""The mail of each day: the facts behind the alerts, whether something is wrong or not. That it comes is a fact too."""

from __future__ import annotations

import os
import time
from typing import Any

from amslpr_device import backup_records
from amslpr_device.backup_places import Places
from amslpr_device.context import Context, StepError
from amslpr_device.mail import spool
from amslpr_device.monitor import alerts, facts


def title(ctx: Context) -> str:
    """The device in words."""
    return f'{ctx.site.get("name") or "AMSLPR device"} ({ctx.site.get("hostname") or "no host name yet"})'


def subject(ctx: Context) -> str:
    """How many alerts there are."""
    count = len(alerts.active(alerts.read(ctx)))
    return f'daily report: {count} alert(s)' if count else 'daily report: all is well'


def text(ctx: Context, options: dict[str, Any], now: float) -> str:
    """The whole report."""
    record = alerts.read(ctx)
    lines = [f'{title(ctx)}, {time.strftime("%F %H:%M %Z", time.localtime(now))}', '']
    active = alerts.active(record)
    lines += ['Alerts:' if active else 'Alerts: none']
    for one in active:
        lines.append(f'- since {when(one["since"])}: {one["text"]}')
    day = [one for one in record.get('history', []) if now - float(one['time']) < facts.DAY]
    lines += ['', 'Of the last day:' if day else 'Of the last day: nothing was raised']
    lines += [f'- {when(one["time"])} {one["what"]}: {one["text"]}' for one in day[-40:]]
    lines += ['', *state(ctx, now)]
    return '\n'.join(lines) + '\n'


def when(seconds: float) -> str:
    """A time of the device."""
    return time.strftime('%F %H:%M', time.localtime(float(seconds)))


def copy(ctx: Context) -> str:
    """When and where the last copy of a backup went."""
    last = backup_records.last_copy(Places(ctx.root))
    return f'{last.get("at")}, {last.get("name")} to {last.get("to")}' if last else 'none ever'


def state(ctx: Context, now: float) -> list[str]:
    """Figures, a line each; one that cannot be had says so."""

    def of(name: str, figure: Any) -> str:
        try:
            return f'{name}: {figure()}'
        except (OSError, ValueError, KeyError, StepError) as error:
            return f'{name}: not known ({error})'

    def full(path: str) -> str:
        found = os.statvfs(ctx.at(path))
        return f'{facts.percent(found.f_blocks - found.f_bavail, found.f_blocks)} % full'

    def log_ins() -> str:
        failures, bans = facts.attempts(ctx, '-24h')
        found = f'{sum(failures.values())} failed, {sum(bans.values())} bans of {len(bans)} addresses'
        return f'{found}: {facts.listed(bans)}' if bans else found

    def temperature() -> str:
        found = facts.hottest(ctx)
        return 'no sensor' if found is None else f'{found:.0f} °C'

    newest = facts.newest_backup(ctx)
    kept = facts.kept(ctx)
    data = ctx.is_mounted('/data')
    return [
        of('Up', lambda: f'{facts.uptime(ctx) / facts.DAY:.1f} days'),
        of('Root', lambda: full('/')),
        of('Data', lambda: full('/data') if data else 'closed'),
        of('Memory', lambda: f'{facts.memory_used(ctx)} % in use'),
        of('Temperature', temperature),
        of('Log-ins of the last day', log_ins),
        f'Newest backup: {when(newest) if newest else "none"}',
        f'Newest copy off this card: {copy(ctx) if data else "not known, data is closed"}',
        f'Lists of updates taken: {facts.stamp(ctx.at("/var/lib/apt/periodic/update-stamp"))}',
        f'Updates installed: {facts.stamp(ctx.at("/var/lib/apt/periodic/upgrade-stamp"))}',
        f'Restart needed: {"yes" if ctx.at("/run/reboot-required").exists() else "no"}',
        f'Clock compared with a time server: {when(kept) if kept else "not since the start"}',
        f'Mail that waits: {len(spool.waiting(ctx)) if spool.is_open(ctx) else "no spool while data is closed"}',
        f'Image: {ctx.image().get("name", "unknown")}',
    ]
