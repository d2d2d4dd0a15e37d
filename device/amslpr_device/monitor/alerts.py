"""Which problems were told already: an alert is told once, again each day while it lasts, and when it is over.

The record is in /run/amslpr-device/alerts.json, where status and screen read it, and on the data partition when that
is open, so that a restart does not tell everything again. It is written when something changed, not at each look.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amslpr_device.context import Context
from amslpr_device.files import write
from amslpr_device.mail import spool
from amslpr_device.monitor.problem import Problem

# Looks without it until a problem is over: one that comes and goes is one alert.
OVER = 3
HISTORY = 200


@dataclass
class News:
    """What has to be told: each is a record of an alert."""

    raised: list[dict[str, Any]] = field(default_factory=list)
    again: list[dict[str, Any]] = field(default_factory=list)
    over: list[dict[str, Any]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.raised or self.again or self.over)


def places(ctx: Context) -> tuple[Path, Path]:
    """In memory, and on the data partition."""
    return ctx.run_folder / 'alerts.json', ctx.at(spool.PLACE) / 'alerts.json'


def load(path: Path) -> dict[str, Any]:
    """The record: {alerts: {key: {...}}, history: [...]}; empty when there is none that can be read."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        found = None
    good = isinstance(found, dict) and isinstance(found.get('alerts'), dict) and isinstance(found.get('history'), list)
    return found if good and isinstance(found, dict) else {'alerts': {}, 'history': []}


def read(ctx: Context) -> dict[str, Any]:
    """What is known since the start, and once the data partition is open, from before it."""
    memory, disk = places(ctx)
    record = load(memory)
    if not record.get('whole') and spool.is_open(ctx):
        before = load(disk)
        history = [*before['history'], *record['history']][-HISTORY:]
        record = {'alerts': {**before['alerts'], **record['alerts']}, 'history': history, 'whole': True}
    return record


def active(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Alerts that were told and are not over, the oldest first."""
    found = [one for one in record['alerts'].values() if one.get('told')]
    return sorted(found, key=lambda one: float(one['since']))


@contextmanager
def locked(ctx: Context) -> Iterator[dict[str, Any]]:
    """The record, for one at a time; kept afterwards."""
    ctx.run_folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    with open(ctx.run_folder / 'alerts.lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        record = read(ctx)
        yield record
        memory, disk = places(ctx)
        keep(memory, record)
        if spool.is_open(ctx):
            # What changes with each look is of no use after a restart, and would wear the card.
            lasting = {
                key: {**one, 'missing': 0, 'text': one['as_told']}
                for key, one in record['alerts'].items()
                if one.get('told')
            }
            keep(disk, {**record, 'alerts': lasting})


def keep(path: Path, record: dict[str, Any]) -> None:
    """Writes a record if it is another one."""
    if not path.exists() or load(path) != record:
        write(path, json.dumps(record, sort_keys=True) + '\n', 0o600)


def update(record: dict[str, Any], problems: list[Problem], now: float, remind: float, *, whole: bool = True) -> News:
    """Takes in one look. With `whole`, what is not among `problems` was not there this time."""
    news = News()
    alerts: dict[str, Any] = record['alerts']
    for problem in problems:
        one = alerts.setdefault(problem.key, {'key': problem.key, 'since': now, 'told': 0, 'seen': 0})
        one.update(text=problem.text, hint=problem.hint, missing=0, seen=min(one['seen'] + 1, problem.runs))
        if one['seen'] < problem.runs:
            continue
        # A clock that was set back must not keep a reminder away for ever.
        if not one['told']:
            news.raised.append(one)
        elif now - one['told'] >= remind or one['told'] > now + remind:
            news.again.append(one)
        else:
            continue
        one.update(told=now, as_told=problem.text)
    if whole:
        seen = {problem.key for problem in problems}
        for key in [key for key in alerts if key not in seen]:
            one = alerts[key]
            one['missing'] = one.get('missing', 0) + 1
            if not one['told']:
                del alerts[key]
            elif one['missing'] >= OVER:
                news.over.append(alerts.pop(key))
    events = [(one, 'raised') for one in news.raised] + [(one, 'over') for one in news.over]
    record['history'] = [
        *record.get('history', []),
        *({'time': now, 'what': what, 'text': one['text']} for one, what in events),
    ][-HISTORY:]
    return news
