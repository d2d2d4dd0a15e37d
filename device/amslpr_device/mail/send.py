"""Hands messages to the relay: by TLS with its name checked, or not at all. What is refused waits longer each time."""

from __future__ import annotations

import fcntl
import smtplib
import socket
import ssl
import time
from email import message_from_bytes, policy
from pathlib import Path

from amslpr_device.context import Context
from amslpr_device.mail import spool
from amslpr_device.mail.relay import Relay
from amslpr_device.trust import trust

SECONDS = 30
FIRST, LONGEST = 300, 4 * 3600


class NotSent(Exception):
    """The relay did not take anything: why, and what helps."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def connect(relay: Relay, host: str) -> smtplib.SMTP:
    """A session, encrypted and logged in; raises NotSent."""
    where = f'{relay.server}:{relay.port}'
    try:
        session: smtplib.SMTP
        if relay.security == 'tls':
            session = smtplib.SMTP_SSL(relay.server, relay.port, host, timeout=SECONDS, context=trust(relay.ca))
        else:
            session = smtplib.SMTP(relay.server, relay.port, host, timeout=SECONDS)
            session.starttls(context=trust(relay.ca))
    except ssl.SSLCertVerificationError as error:
        hint = 'a relay with a CA of your own: sudo amslpr-device mail ca < CA.pem'
        raise NotSent(f'the certificate of {where} is not believed: {error.verify_message}', hint) from error
    except ssl.SSLError as error:
        hint = 'port 465 speaks TLS at once (security: tls), port 587 after STARTTLS (security: starttls)'
        raise NotSent(f'{where} speaks no TLS that is good enough: {error.reason}', hint) from error
    except socket.gaierror as error:
        raise NotSent(f'{relay.server} is no name that can be found', 'is the name server reachable?') from error
    except smtplib.SMTPNotSupportedError as error:
        raise NotSent(f'{where} offers no encryption (STARTTLS)', 'mail is never sent in the open') from error
    except (OSError, smtplib.SMTPException) as error:
        said = getattr(error, 'strerror', None) or str(error) or type(error).__name__
        raise NotSent(f'{where} cannot be reached: {said}', 'server, port and firewalls between') from error
    try:
        if relay.user:
            session.login(relay.user, relay.password)
    except (OSError, smtplib.SMTPException) as error:
        session.close()
        code = getattr(error, 'smtp_code', '')
        hint = 'give user and password again: sudo amslpr-device mail password'
        raise NotSent(f'{where} does not let {relay.user} in {code}'.rstrip(), hint) from error
    return session


def one(session: smtplib.SMTP, relay: Relay, path: Path) -> None:
    """Hands one message over; raises SMTPException or OSError."""
    message = message_from_bytes(path.read_bytes(), policy=policy.SMTP)
    message['From'] = relay.sender
    message['To'] = ', '.join(relay.to)
    refused = session.send_message(message, relay.sender, list(relay.to))
    if refused:
        print(f'the relay refused {", ".join(refused)}, and took the message for the others')


def everything(ctx: Context, relay: Relay, *, now: bool = False) -> int:
    """Sends what waits and returns how many; raises NotSent. Before its time nothing is tried, unless `now`."""
    with open(ctx.at(spool.PLACE) / '.lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = spool.note(ctx)
        if not now and time.time() < float(before.get('next', 0)) <= time.time() + LONGEST:
            return 0
        lost = spool.trim(ctx) + int(before.get('lost', 0))
        try:
            sent, error = attempt(ctx, relay)
            if error:
                raise NotSent(error, 'what the relay said about sender, recipients or size')
        except NotSent as why:
            failures = int(before.get('failures', 0)) + 1
            wait = min(FIRST * 2 ** min(failures - 1, 8), LONGEST)
            since = before.get('since') or int(time.time())
            again = int(time.time()) + wait
            spool.put_note(
                ctx, {'failures': failures, 'next': again, 'error': why.message, 'since': since, 'lost': lost}
            )
            raise
        spool.put_note(ctx, {'lost': lost} if lost else {})
        return sent


def attempt(ctx: Context, relay: Relay) -> tuple[int, str]:
    """One session: how many were taken, and what was said of the last one that was not."""
    messages = spool.waiting(ctx)
    if not messages:
        return 0, ''
    session = connect(relay, ctx.site.get('hostname') or 'device')
    sent, error = 0, ''
    try:
        for path in messages:
            try:
                one(session, relay, path)
            except smtplib.SMTPServerDisconnected as lost:
                return sent, f'{relay.server} ended the connection: {lost}'
            # Before OSError, of which it is one.
            except smtplib.SMTPException as refused:
                error = f'{relay.server} refused a message: {said(refused)}'
                continue
            except OSError as lost:
                return sent, f'the connection to {relay.server} broke: {lost}'
            path.unlink(missing_ok=True)
            sent += 1
        return sent, error
    finally:
        session.close()


def said(error: smtplib.SMTPException) -> str:
    """The words of the relay."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return '; '.join(
            f'{who}: {code} {text.decode(errors="replace")}' for who, (code, text) in error.recipients.items()
        )
    if isinstance(error, smtplib.SMTPResponseException):
        text = error.smtp_error
        return f'{error.smtp_code} {text.decode(errors="replace") if isinstance(text, bytes) else text}'
    return str(error)
