"""`amslpr-device monitor`: what units run, and a person may.

monitor look           one look at everything; tells what is new, by journal and mail
monitor failed UNIT    a unit failed just now
monitor digest         one mail with the day's facts
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from amslpr_device import administration
from amslpr_device.context import Context
from amslpr_device.logs import forward
from amslpr_device.mail import relay, spool
from amslpr_device.monitor import alerts, digest, facts
from amslpr_device.push import settings as push
from amslpr_device.say import ALERT, NOTICE, WARNING, say

DEFAULTS = {
    'diskPercent': 85,
    'memoryPercent': 90,
    'loadPerCore': 2,
    'temperature': 80,
    'failedLogins': 20,
    'remindHours': 24,
}


def options(ctx: Context) -> dict[str, Any]:
    """Thresholds of the image."""
    try:
        return {**DEFAULTS, **json.loads(ctx.at('/usr/share/amslpr/monitoring.json').read_text())}
    except (OSError, ValueError):
        return DEFAULTS


def main(rest: list[str], ctx: Context | None = None) -> int:
    """Returns the exit code."""
    ctx = ctx or Context()
    known = rest in (['look'], ['digest']) or (len(rest) == 2 and rest[0] == 'failed')
    if not known:
        print(__doc__, file=sys.stderr)
        return 2
    if administration.lacks_sudo(ctx, f'monitor {rest[0]}'):
        return 1
    now = time.time()
    if rest[0] == 'digest':
        text = digest.text(ctx, options(ctx), now)
        if can_mail(ctx):
            spool.add(ctx, f'[{host(ctx)}] {digest.subject(ctx)}', text)
        else:
            say(NOTICE, text)
    else:
        whole = rest[0] == 'look'
        problems = facts.everything(ctx, options(ctx), now) if whole else [facts.failed(rest[1])]
        with alerts.locked(ctx) as record:
            news = alerts.update(record, problems, now, options(ctx)['remindHours'] * 3600, whole=whole)
            tell(ctx, news, record)
        if whole:
            count = len(alerts.active(record))
            print(f'{count} alert(s)' if count else 'nothing is wrong')
    if ctx.real and can_mail(ctx) and spool.waiting(ctx):
        ctx.succeeds(['systemctl', 'start', '--no-block', 'amslpr-mail.service'])
    if ctx.real and spool.is_open(ctx) and forward.settings(ctx) is not None:
        # Not enabled: on a device without a server it would be skipped, and that be logged, each minute.
        ctx.succeeds(['systemctl', 'start', '--no-block', 'amslpr-logs.timer'])
    if ctx.real and spool.is_open(ctx) and push.is_set(ctx):
        # The same for a server of copies, each hour.
        ctx.succeeds(['systemctl', 'start', '--no-block', 'amslpr-backup-push.timer'])
    return 0


def host(ctx: Context) -> str:
    """What the device is called in subjects."""
    return str(ctx.site.get('hostname') or 'device')


def can_mail(ctx: Context) -> bool:
    """Whether there is a relay, and a place for what waits."""
    return spool.is_open(ctx) and relay.relay(ctx) is not None


def tell(ctx: Context, news: alerts.News, record: dict[str, Any]) -> None:
    """By the journal in any case, and in one mail."""
    for one in news.raised:
        say(ALERT, with_hint(one))
    for one in news.again:
        say(WARNING, f'still: {with_hint(one)}')
    for one in news.over:
        say(NOTICE, f'over: {one["text"]}')
    # That the relay takes no mail is of no use in a mail.
    parts = [
        (title, [one for one in found if one['key'] != 'mail'])
        for title, found in (('New', news.raised), ('Still', news.again), ('Over', news.over))
    ]
    parts = [(title, found) for title, found in parts if found]
    if not parts or not can_mail(ctx):
        return
    first, ones = parts[0]
    words = {'New': 'alert: ', 'Still': 'still: ', 'Over': 'over: '}[first]
    more = sum(len(found) for _, found in parts) - 1
    lines = [f'{digest.title(ctx)}, {time.strftime("%F %T %Z")}']
    for title, found in parts:
        lines += ['', f'{title}:', *(f'- {with_hint(one)}' for one in found)]
    lines += ['', f'Alerts that last: {len(alerts.active(record))}. By SSH: amslpr-device status']
    spool.add(ctx, f'[{host(ctx)}] {words}{ones[0]["text"]}{f" (and {more} more)" if more else ""}', '\n'.join(lines))


def with_hint(one: dict[str, Any]) -> str:
    """An alert and what to do."""
    return f'{one["text"]}. Next: {one["hint"]}' if one.get('hint') else str(one['text'])
