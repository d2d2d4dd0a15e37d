"""`amslpr-device logs`: the central log server. All of it needs sudo.

logs show      the server, and what went wrong last
logs set       takes the server from standard input, as `logs:` of a site file has it
logs ca        takes the certificates of your own authority from standard input
logs client    takes the device's certificate and key for the server from standard input
logs off       sends nothing any more
logs test      sends what is new now, and says what became of it
logs send      what the unit amslpr-logs.service runs
"""

from __future__ import annotations

import ssl
import sys
import tempfile
from pathlib import Path

from amslpr_device import administration
from amslpr_device.context import Context
from amslpr_device.files import write, write_record
from amslpr_device.logs import forward
from amslpr_device.say import WARNING, say
from amslpr_device.site_file import LOGS

NONE = 'no log leaves this device: sudo amslpr-device logs set < server.yaml'


def main(rest: list[str], ctx: Context | None = None) -> int:
    """Returns the exit code."""
    verbs = {'show': show, 'set': take, 'ca': ca, 'client': client, 'off': off, 'test': test, 'send': flush}
    return administration.answer(ctx or Context(), 'logs', str(__doc__), verbs, rest)


def place(ctx: Context) -> Path:
    """Settings, on the encrypted partition."""
    return ctx.at('/etc/amslpr/secrets')


def show(ctx: Context) -> int:
    """The settings."""
    found = forward.settings(ctx)
    if found is None:
        print(NONE)
        return 0
    print(f'Server: {found.server}:{found.port} by TLS')
    print(f'Believed: {"your own authority" if found.ca else "the authorities that Debian knows"}')
    print(f'Certificate of this device: {"yes" if found.client else "none"}')
    if forward.note(ctx).get('error'):
        print(f'The last attempt failed: {forward.note(ctx)["error"]}')
    return 0


def take(ctx: Context) -> int:
    """Sets the server."""
    found = administration.given(LOGS, 'logs')
    if found is None:
        return 1
    write_record(place(ctx) / 'logs.json', found)
    print('the server is set; now: sudo amslpr-device logs test')
    return 0


def ca(ctx: Context) -> int:
    """Takes an authority; nothing at all takes it away."""
    return pem(ctx, 'logs-ca.pem', lambda path: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path))


def client(ctx: Context) -> int:
    """Takes certificate and key; nothing at all takes them away."""
    return pem(ctx, 'logs-client.pem', lambda path: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(path))


def pem(ctx: Context, name: str, judge: object) -> int:
    """Keeps what is on standard input when it is good."""
    text = sys.stdin.read(1 << 20)
    if not text.strip():
        (place(ctx) / name).unlink(missing_ok=True)
        print('it is taken away')
        return 0
    with tempfile.NamedTemporaryFile('w', dir=place(ctx)) as trial:
        trial.write(text)
        trial.flush()
        try:
            judge(trial.name)  # type: ignore[operator]
        except (ssl.SSLError, OSError) as error:
            print(f'standard input: that is not good PEM for this: {error}', file=sys.stderr)
            return 1
    write(place(ctx) / name, text, 0o600)
    print('it is kept')
    return 0


def off(ctx: Context) -> int:
    """Sends nothing any more, also not to the server of the site file."""
    write_record(place(ctx) / 'logs.json', {})
    print(NONE)
    return 0


def test(ctx: Context) -> int:
    """Sends now."""
    found = forward.settings(ctx)
    if found is None:
        print(NONE, file=sys.stderr)
        return 1
    try:
        sent = forward.everything(ctx, found, now=True)
    except forward.NotSent as why:
        print(f'not sent: {why}', file=sys.stderr)
        return 1
    print(f'{found.server}:{found.port} took {sent} entries')
    return 0


def flush(ctx: Context) -> int:
    """Sends what is new. A server that is away fails no unit: the monitor tells of it."""
    found = forward.settings(ctx)
    if found is not None:
        try:
            forward.everything(ctx, found)
        except forward.NotSent as why:
            say(WARNING, f'no log was sent: {why}')
    return 0
