"""Sends new entries of the journal as syslog over TLS (RFC 5424 in RFC 5425), which central log servers take.

The journal is the queue: it is bounded, and a cursor says up to where it was sent. The cursor moves when the server's
side has acknowledged every byte, so what is lost on the way is sent again; after a break some may arrive twice.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import socket
import ssl
import struct
import subprocess
import termios
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from amslpr_device.context import Context
from amslpr_device.mail import spool
from amslpr_device.trust import trust

PORT = 6514
FIELDS = 'MESSAGE,PRIORITY,SYSLOG_FACILITY,SYSLOG_IDENTIFIER,_COMM,_PID,_TRANSPORT,_HOSTNAME'
BATCH = 1000
LONGEST = 8192
SECONDS = 30
# One run goes on for at most this long; the next one is not far.
WORK = 50
FIRST_WAIT, LONGEST_WAIT = 60, 3600


class NotSent(Exception):
    """The server did not take anything: why."""


@dataclass(frozen=True)
class Server:
    """Where entries go."""

    server: str
    port: int
    ca: Path | None = None
    client: Path | None = None


def settings(ctx: Context) -> Server | None:
    """What `amslpr-device logs set` wrote on the data partition, else the site file; with None nothing leaves it."""
    place = ctx.at('/etc/amslpr/secrets')
    found: dict[str, Any] = dict(ctx.site.get('logs', {}))
    with contextlib.suppress(OSError, ValueError):
        found = json.loads((place / 'logs.json').read_text())
    if not found.get('server'):
        return None
    ca, client = place / 'logs-ca.pem', place / 'logs-client.pem'
    return Server(
        str(found['server']),
        int(found.get('port') or PORT),
        ca if ca.exists() else None,
        client if client.exists() else None,
    )


def note(ctx: Context) -> dict[str, Any]:
    """{cursor, failures, next, error, since}."""
    return spool.note(ctx, 'logs')


def put_note(ctx: Context, found: dict[str, Any]) -> None:
    """Keeps it, if it is something new."""
    spool.put_note(ctx, found, 'logs')


def text_of(value: Any) -> str:
    """A field of the journal: text, bytes as a list of numbers, or None for what was too long."""
    if isinstance(value, list):
        return bytes(one for one in value if isinstance(one, int) and 0 <= one < 256).decode(errors='replace')
    return '' if value is None else str(value)


def word(value: Any, longest: int) -> str:
    """A header field: visible ASCII, or `-`."""
    return ''.join(char for char in text_of(value) if '!' <= char <= '~')[:longest] or '-'


def message(entry: dict[str, Any]) -> bytes:
    """One entry, framed by its length."""
    kernel = entry.get('_TRANSPORT') == 'kernel'
    facility = text_of(entry.get('SYSLOG_FACILITY'))
    priority = text_of(entry.get('PRIORITY'))
    code = int(facility) if facility.isdigit() and int(facility) < 24 else 0 if kernel else 3
    level = int(priority) if priority in set('01234567') else 6
    micro = int(text_of(entry.get('__REALTIME_TIMESTAMP')) or 0)
    stamp = datetime.fromtimestamp(micro / 1_000_000, UTC).strftime('%Y-%m-%dT%H:%M:%S.%fZ')
    name = word(entry.get('SYSLOG_IDENTIFIER') or entry.get('_COMM') or ('kernel' if kernel else None), 48)
    head = (
        f'<{code * 8 + level}>1 {stamp} {word(entry.get("_HOSTNAME"), 255)} {name} {word(entry.get("_PID"), 128)} - - '
    )
    # A line end within a message must not look like another message to whoever reads the server's files.
    body = text_of(entry.get('MESSAGE')).replace('\n', '#012').replace('\0', '#000')
    data = (head + body).encode()[:LONGEST]
    return b'%d ' % len(data) + data


def entries(cursor: str) -> Iterator[dict[str, Any]]:
    """New entries, the oldest first; without a cursor those of the last hour."""
    where = [f'--after-cursor={cursor}'] if cursor else ['--since=-1h']
    command = ['journalctl', '--no-pager', '--quiet', '--all', '--output=json', f'--output-fields={FIELDS}', *where]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as reader:
        assert reader.stdout is not None
        try:
            for line in reader.stdout:
                found = json.loads(line)
                if isinstance(found, dict):
                    yield found
        finally:
            reader.terminate()


def connect(server: Server) -> ssl.SSLSocket:
    """A connection; raises NotSent."""
    where = f'{server.server}:{server.port}'
    try:
        plain = socket.create_connection((server.server, server.port), SECONDS)
        try:
            return trust(server.ca, server.client).wrap_socket(plain, server_hostname=server.server)
        except BaseException:
            plain.close()
            raise
    except ssl.SSLCertVerificationError as error:
        raise NotSent(f'the certificate of {where} is not believed: {error.verify_message}') from error
    except ssl.SSLError as error:
        raise NotSent(f'{where} speaks no TLS that is good enough: {error.reason}') from error
    except OSError as error:
        raise NotSent(f'{where} cannot be reached: {error.strerror or error}') from error


def acknowledged(connection: ssl.SSLSocket) -> bool:
    """Whether the other side's system has every byte, within some seconds."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        left = struct.unpack('i', fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, b'\0' * 4))[0]
        if left == 0:
            return True
        time.sleep(0.02)
    return False


def deliver(server: Server, batch: list[bytes]) -> None:
    """Sends a batch and waits until it is there; raises NotSent."""
    connection = connect(server)
    try:
        connection.settimeout(SECONDS)
        connection.sendall(b''.join(batch))
        # With TLS 1.3 a client certificate that the server refuses is told only now.
        connection.settimeout(0.2)
        try:
            if connection.recv(1) == b'':
                raise NotSent(f'{server.server} ended the connection')
        except TimeoutError:
            pass
        if not acknowledged(connection):
            raise NotSent(f'{server.server} does not take what is sent')
    except ssl.SSLError as error:
        raise NotSent(f'{server.server} refused: {error.reason}') from error
    except OSError as error:
        raise NotSent(f'the connection to {server.server} broke: {error.strerror or error}') from error
    finally:
        connection.close()


def send(ctx: Context, server: Server, found: Iterable[dict[str, Any]]) -> int:
    """Sends entries in batches, keeps the cursor after each, and returns how many; raises NotSent."""
    end = time.monotonic() + WORK
    sent, batch, cursor = 0, [], ''
    for entry in found:
        batch.append(message(entry))
        cursor = str(entry.get('__CURSOR', ''))
        if len(batch) >= BATCH:
            deliver(server, batch)
            put_note(ctx, {'cursor': cursor})
            sent, batch = sent + len(batch), []
            if time.monotonic() > end:
                return sent
    if batch:
        deliver(server, batch)
        put_note(ctx, {'cursor': cursor})
    return sent + len(batch)


def everything(ctx: Context, server: Server, *, now: bool = False) -> int:
    """Sends what is new; a server that is away is asked less often. Raises NotSent."""
    before = note(ctx)
    if not now and time.time() < float(before.get('next', 0)) <= time.time() + LONGEST_WAIT:
        return 0
    try:
        return send(ctx, server, entries(str(before.get('cursor', ''))))
    except NotSent as why:
        failures = int(before.get('failures', 0)) + 1
        wait = min(FIRST_WAIT * 2 ** min(failures - 1, 8), LONGEST_WAIT)
        put_note(
            ctx,
            {
                # A batch of this run may have been taken.
                'cursor': note(ctx).get('cursor', ''),
                'failures': failures,
                'next': int(time.time()) + wait,
                'error': str(why),
                'since': before.get('since') or int(time.time()),
            },
        )
        raise
