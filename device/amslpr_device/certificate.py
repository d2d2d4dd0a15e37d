"""`amslpr-device tls renew`: a new certificate with the same key when the device's own is due; a timer runs it daily.

Due is what ends within a third of its life, 30 days at most, or is of no use already (see steps/tls.py). A certificate
of another authority is never touched: the program fails 14 days before its end, which raises an alert. What a cut
leaves is the old certificate or the new one; a mark in /run makes the next run tell nginx when this one could not.
"""

from __future__ import annotations

import fcntl
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from amslpr_device.context import Context, StepError
from amslpr_device.files import write
from amslpr_device.steps import site, tls

DAY = 86_400
FOREIGN = 14 * DAY
# There while nginx may have another certificate than the one in place.
MARK = 'certificate-renewed'


def main(ctx: Context) -> int:
    """Returns the exit code: 1 when somebody has to do something."""
    try:
        site.recall(ctx)
        print(renew(ctx, lambda: reload_nginx(ctx)))
    except StepError as error:
        print(f'amslpr-device tls: {error.message}. {error.hint}'.rstrip(' .'), file=sys.stderr)
        return 1
    return 0


def renew(ctx: Context, reload: Callable[[], None]) -> str:
    """Makes a certificate when the one that is there is due, and says what was done; raises StepError."""
    key = ctx.at(tls.FOLDER) / 'key.pem'
    public = tls.public_key(ctx, key)
    if not ctx.site or not public:
        raise StepError(f'{key} is not there or is no key', 'open the data partition: amslpr-device unlock')
    with alone(ctx):
        return renew_with(ctx, key, public, reload)


def renew_with(ctx: Context, key: Path, public: bytes, reload: Callable[[], None]) -> str:
    """The same, with the key and while nobody else changes the certificate."""
    folder = key.parent
    certificate = folder / 'cert.pem'
    mark = ctx.run_folder / MARK
    # A public authority that has not answered in time is followed by our own: trust is lost, the service is not.
    followed = (folder / 'acme.json').exists() and ends_within(ctx, certificate, 0)
    if is_foreign(ctx, certificate, public) and not followed:
        if ends_within(ctx, certificate, FOREIGN):
            raise StepError(
                'the certificate of another authority ends within 14 days, or has ended',
                'get a new one: docs/runbooks/certificates.md',
            )
        if mark.exists():
            reload()
            mark.unlink()
        return 'The certificate is of another authority and stays'
    if not followed and tls.certificate_ok(ctx, certificate, public) and not ends_within(ctx, certificate, due(ctx)):
        if not mark.exists():
            return f'The certificate is good for {due(ctx) // DAY} days and more'
    else:
        with tempfile.TemporaryDirectory(dir=ctx.run_folder) as place:
            _, made = tls.issue(ctx, key, Path(place))
            trial = Path(place, 'cert.pem')
            trial.write_bytes(made)
            if not tls.certificate_ok(ctx, trial, public) or ends_within(ctx, trial, due(ctx)):
                raise StepError('the new certificate is not good: the old one stays', 'is the clock right? date')
        mark.touch()
        write(certificate, made, 0o644)
    reload()
    mark.unlink()
    return 'A new certificate was made with the same key'


@contextmanager
def alone(ctx: Context) -> Iterator[None]:
    """One at a time puts a certificate in place: the timers, and people."""
    with open(ctx.run_folder / 'tls.lock', 'w', opener=lambda name, flags: os.open(name, flags, 0o600)) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def due(ctx: Context) -> int:
    """Seconds before its end at which a certificate of the device is made anew."""
    return min(30 * DAY, tls.days(ctx) * DAY // 3)


def is_foreign(ctx: Context, certificate: Path, public: bytes) -> bool:
    """Whether it belongs to our key, and somebody else signed it."""
    if tls.certified_key(ctx, certificate) != public:
        return False
    names = ctx.run(
        ['openssl', 'x509', '-in', str(certificate), '-noout', '-subject', '-issuer', '-nameopt', 'RFC2253']
    )
    subject, issuer = (re.search(rf'^{word}=\s*(.*)$', names.decode(), re.M) for word in ('subject', 'issuer'))
    return bool(subject and issuer and subject[1] != issuer[1])


def ends_within(ctx: Context, certificate: Path, seconds: int) -> bool:
    """Whether it is over after so many seconds."""
    return not ctx.succeeds(['openssl', 'x509', '-in', str(certificate), '-noout', '-checkend', str(seconds)])


def reload_nginx(ctx: Context) -> None:
    """Has nginx read it, if that runs; a fault in its configuration fails here and stops nothing."""
    ctx.run(['systemctl', 'try-reload-or-restart', 'nginx.service'])
