"""`amslpr-device mail`: the operator's relay, and what waits for it. All of it needs sudo.

mail show       relay, what waits, and what went wrong last
mail set        takes the relay from standard input, as `mail:` of a site file has it
mail password   asks for the relay's password
mail ca         takes the certificates of your own authority from standard input
mail test       sends a message now and says what the relay said
mail send       sends what waits; the unit amslpr-mail.service runs it
"""

from __future__ import annotations

import sys

from amslpr_device import administration
from amslpr_device.context import Context
from amslpr_device.mail import relay, send, spool
from amslpr_device.say import NOTICE, WARNING, say

NO_RELAY = 'there is no mail relay yet: sudo amslpr-device mail set < relay.yaml'


def main(rest: list[str], ctx: Context | None = None) -> int:
    """Returns the exit code."""
    verbs = {'show': show, 'set': take, 'password': password, 'ca': ca, 'test': test, 'send': flush}
    return administration.answer(ctx or Context(), 'mail', str(__doc__), verbs, rest)


def show(ctx: Context) -> int:
    """Everything but the password."""
    found = relay.relay(ctx)
    if found is None:
        print(NO_RELAY)
    else:
        known = 'a password is set' if found.password else 'no password is set'
        login = f'as {found.user} ({known})' if found.user else 'without a log-in'
        print(f'Relay: {found.server}:{found.port} ({found.security}), {login}')
        print(f'From {found.sender} to {", ".join(found.to)}')
        print(f'Believed: {"your own authority" if found.ca else "the authorities that Debian knows"}')
    print(f'Waiting: {len(spool.waiting(ctx))}')
    if spool.note(ctx).get('error'):
        print(f'The last attempt failed: {spool.note(ctx)["error"]}')
    return 0


def take(ctx: Context) -> int:
    """Sets the relay."""
    problems = relay.keep(ctx, sys.stdin.buffer.read(65536))
    for one in problems:
        print(f'standard input: {one}', file=sys.stderr)
    if problems:
        print('nothing was changed', file=sys.stderr)
        return 1
    found = relay.relay(ctx)
    print('the relay is set' + ('; now: sudo amslpr-device mail password' if found and found.user else ''))
    return 0


def password(ctx: Context) -> int:
    """Asks for the password."""
    from amslpr_device.cli import read

    if relay.relay(ctx) is None:
        print(NO_RELAY, file=sys.stderr)
        return 1
    given = read('Password of the relay: ')
    if not given or not given.isprintable():
        print('that is no password: nothing was changed', file=sys.stderr)
        return 1
    relay.keep_password(ctx, given)
    print('the password is set; now: sudo amslpr-device mail test')
    return 0


def ca(ctx: Context) -> int:
    """Takes an authority; nothing at all takes it away."""
    text = sys.stdin.read(1 << 20)
    if not text.strip():
        (relay.folder(ctx) / 'mail-ca.pem').unlink(missing_ok=True)
        print('the authorities that Debian knows are believed')
        return 0
    try:
        relay.keep_ca(ctx, text)
    except ValueError as error:
        print(f'standard input: {error}', file=sys.stderr)
        return 1
    print('only this authority is believed')
    return 0


def test(ctx: Context) -> int:
    """Sends a message now, and everything that waits."""
    found = relay.relay(ctx)
    if found is None:
        print(NO_RELAY, file=sys.stderr)
        return 1
    host = ctx.site.get('hostname') or 'device'
    added = spool.add(ctx, f'[{host}] test message', f'{host} can send mail by {found.server}.\n')
    try:
        sent = send.everything(ctx, found, now=True)
    except send.NotSent as why:
        # Somebody looks at it now: a test that failed is not sent later.
        added.unlink(missing_ok=True)
        print(f'not sent: {why.message}\nNext: {why.hint}', file=sys.stderr)
        return 1
    print(f'{found.server}:{found.port} took {sent} message(s) for {", ".join(found.to)}')
    return 0


def flush(ctx: Context) -> int:
    """Sends what waits. A relay that is away fails no unit: the monitor tells of it."""
    found = relay.relay(ctx)
    if found is None or not spool.waiting(ctx):
        return 0
    try:
        sent = send.everything(ctx, found)
    except send.NotSent as why:
        say(WARNING, f'no mail was sent: {why.message}. {why.hint}')
        return 0
    if sent:
        say(NOTICE, f'{sent} message(s) sent by {found.server}')
    return 0
