"""`amslpr-device integrity`: files against the manifest of the image. All of it needs sudo.

integrity check             what was touched since it was last found good; each night
integrity audit             every file, and every check of the image; each month
integrity show              what the last look found
integrity accept PATH...    from now on these are as they should be; it is noted in the journal
integrity before, after     what apt calls
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from amslpr_device.context import Context, StepError
from amslpr_device.integrity import compare, names, settled, state, tree, upgrade
from amslpr_device.say import NOTICE, WARNING, say

SHOWN = 40


def main(rest: list[str], ctx: Context | None = None) -> int:
    """Returns the exit code: 3 when something differs or a check failed."""
    ctx = ctx or Context()
    known = rest in (['check'], ['audit'], ['show'], ['before'], ['after']) or (len(rest) > 1 and rest[0] == 'accept')
    if not known:
        print(__doc__, file=sys.stderr)
        return 2
    if ctx.real and os.geteuid() != 0:
        print(f'sudo is needed: sudo amslpr-device integrity {rest[0]}', file=sys.stderr)
        return 1
    try:
        return {'check': check, 'audit': audit, 'show': show, 'before': before, 'after': after, 'accept': accept}[
            rest[0]
        ](ctx, *([rest[1:]] if rest[0] == 'accept' else []))
    except (compare.NoManifest, StepError, OSError) as error:
        print(f'amslpr-device integrity {rest[0]}: {error}', file=sys.stderr)
        if rest[0] in ('check', 'audit'):
            state.put_last(ctx, {**state.last(ctx), 'time': int(time.time()), 'error': str(error)})
        return 1


def look(ctx: Context, *, whole: bool) -> compare.Found:
    """Compares, and keeps what was found good. The first look takes in what is the device's own."""
    moved, found = settled_look(ctx, whole=whole)
    if not state.begun(ctx):
        own = [path for path in found.differences if names.own(path)]
        for path in own:
            moved[path] = found.now.pop(path)
            del found.differences[path]
        state.put_moved(ctx, moved)
        print(f'{len(own)} paths are the own of this device from now on')
    state.put_seen(ctx, found.seen)
    return found


def settled_look(ctx: Context, *, whole: bool) -> tuple[dict[str, str], compare.Found]:
    """How the manifest was moved on, and a look during which no package was installed."""
    while True:
        settled.wait(ctx)
        begin, moved = settled.mark(ctx), state.moved(ctx)
        found = compare.look(str(ctx.root), moved, state.seen(ctx), whole=whole)
        if not settled.busy(ctx) and settled.mark(ctx) == begin:
            return moved, found


def check(ctx: Context) -> int:
    """The nightly look; failed checks of the last audit stay known."""
    found = look(ctx, whole=False)
    return tell(ctx, found, {'failed': state.last(ctx).get('failed', []), 'whole': state.last(ctx).get('whole', 0)})


def audit(ctx: Context) -> int:
    """The whole look, and the image's own checks."""
    from amslpr_device import audit as checks

    found = look(ctx, whole=True)
    results = checks.answers(checks.checks(ctx))
    failed = [f'{one["id"]}: {one["title"]}' for one in results if one['outcome'] == 'fail']
    for one in failed:
        say(WARNING, f'check failed: {one}')
    say(NOTICE, f'self-audit: {len(results) - len(failed)} checks passed, {len(failed)} failed')
    return tell(ctx, found, {'failed': failed, 'whole': int(time.time())})


def tell(ctx: Context, found: compare.Found, more: dict[str, Any]) -> int:
    """Says and keeps what a look found."""
    differences = dict(sorted(found.differences.items(), key=lambda one: tree.order(one[0])))
    for path, what in list(differences.items())[:SHOWN]:
        say(WARNING, f'/{path} {what}')
    count = len(differences)
    print(f'{found.looked} paths were looked at, {found.read} files were read; {count or "none"} differ')
    shown = dict(list(differences.items())[:SHOWN])
    state.put_last(ctx, {'time': int(time.time()), 'differences': shown, 'count': count, **more})
    return 3 if count or more['failed'] else 0


def show(ctx: Context) -> int:
    """The last look."""
    last = state.last(ctx)
    if not last:
        print('there was no look yet: sudo amslpr-device integrity check')
        return 0
    print(f'Last look: {time.strftime("%F %H:%M", time.localtime(last["time"]))}')
    for path, what in last.get('differences', {}).items():
        print(f'/{path} {what}')
    for one in last.get('failed', []):
        print(f'check failed: {one}')
    print(f'{last.get("count", 0)} differ, {len(last.get("failed", []))} checks failed')
    return 0


def accept(ctx: Context, paths: list[str]) -> int:
    """Takes paths as they are now."""
    found = compare.look(str(ctx.root), state.moved(ctx), state.seen(ctx))
    moved = state.moved(ctx)
    wrong = 0
    for path in paths:
        name = os.path.normpath(path).lstrip('/')
        if name not in found.now:
            print(f'{path} does not differ', file=sys.stderr)
            wrong = 1
            continue
        moved[name] = found.now[name]
        who = os.environ.get('SUDO_USER', 'root')
        ctx.succeeds(
            ['systemd-cat', '--identifier=amslpr-integrity', '--priority=notice'],
            give=f'{who} accepted /{name}, which {found.differences[name]}\n'.encode(),
        )
        print(f'/{name} is as it should be')
    state.put_moved(ctx, moved)
    last = state.last(ctx)
    if last:
        left = {path: what for path, what in last.get('differences', {}).items() if path not in moved}
        gone = len(last.get('differences', {})) - len(left)
        state.put_last(ctx, {**last, 'differences': left, 'count': max(0, last.get('count', 0) - gone)})
    return wrong


def before(ctx: Context) -> int:
    """apt's list is on standard input."""
    upgrade.before(ctx, sys.stdin.read())
    return 0


def after(ctx: Context) -> int:
    """dpkg ended."""
    count = upgrade.after(ctx)
    if count:
        print(f'the manifest of files was moved on by {count} paths')
    return 0
