"""`amslpr-device tls public NAME...`: a certificate of a public authority by certbot, for a device with a public name.

tls public NAME... [--email ADDRESS] [--server URL]   have one issued, and renewed from then on
tls private                                           go back to the device's own
tls acme                                              what the timer runs: renew when due

The device's key stays the same: certbot gets a request that is signed with it. The authority looks at port 80 of the
name (HTTP-01), where nginx shows one folder in memory. What certbot brings is taken when it belongs to the key, is
good now, and has every name; otherwise the certificate that is there stays. One that has ended is followed by the
device's own (certificate.py), so that a failing authority costs trust, not the service.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from amslpr_device import certificate
from amslpr_device.context import Context, StepError
from amslpr_device.files import make_folder, write, write_record
from amslpr_device.steps import site, tls

SERVER = 'https://acme-v02.api.letsencrypt.org/directory'
SETTINGS = 'acme.json'
NAMES = 'server-names-public.conf'
WEBROOT = '/run/amslpr-acme'
PUBLIC = re.compile(r'(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}')
HINT = 'is port 80 of that name reached from the Internet? docs/runbooks/certificates.md'


def settings(ctx: Context) -> dict[str, object]:
    """What `tls public` was told; empty without it."""
    try:
        found = json.loads((ctx.at(tls.FOLDER) / SETTINGS).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def request(ctx: Context, key: Path, names: list[str], place: Path) -> Path:
    """A request for the names, signed by the device's key."""
    path = place / 'request.pem'
    listed = ','.join(f'DNS:{name}' for name in names)
    arguments = ['-subj', f'/CN={names[0]}' if len(names[0]) <= 64 else '/', '-addext', f'subjectAltName={listed}']
    ctx.run(['openssl', 'req', '-new', '-key', str(key), *arguments, '-out', str(path)])
    return path


def issue(ctx: Context, found: dict[str, object], place: Path) -> bytes:
    """Certificate and chain from the authority; raises StepError with what certbot said."""
    folder = ctx.at(tls.FOLDER)
    names = [str(one) for one in found['names']]  # type: ignore[union-attr]
    webroot = ctx.at(WEBROOT)
    # The key's folder is root's; this one is read by nginx's workers.
    make_folder(webroot, 0o755)
    email = ['--email', str(found['email'])] if found.get('email') else ['--register-unsafely-without-email']
    whole = place / 'whole.pem'
    arguments = ['certbot', 'certonly', '--non-interactive', '--agree-tos', *email, '--server', str(found['server'])]
    arguments += [
        '--webroot',
        '--webroot-path',
        str(webroot),
        '--csr',
        str(request(ctx, folder / 'key.pem', names, place)),
    ]
    arguments += [
        '--config-dir',
        str(folder / 'acme'),
        '--work-dir',
        str(place / 'work'),
        '--logs-dir',
        str(place / 'logs'),
    ]
    arguments += ['--cert-path', str(place / 'cert.pem'), '--chain-path', str(place / 'chain.pem')]
    try:
        ctx.run([*arguments, '--fullchain-path', str(whole)])
    except StepError as error:
        raise StepError(f'the authority gave no certificate: {error.message}', HINT) from error
    return whole.read_bytes()


def usable(ctx: Context, path: Path, names: list[str]) -> bool:
    """Whether a certificate is of our key, good now, and for every name."""
    public = tls.public_key(ctx, ctx.at(tls.FOLDER) / 'key.pem')
    if not public or tls.certified_key(ctx, path) != public or certificate.ends_within(ctx, path, 3600):
        return False
    told = ctx.run(['openssl', 'x509', '-in', str(path), '-noout', '-ext', 'subjectAltName']).decode()
    return set(names) <= set(tls.sans(told))


def is_due(ctx: Context, names: list[str]) -> bool:
    """Whether there is none of an authority for these names, or it ends within 30 days."""
    path = ctx.at(tls.FOLDER) / 'cert.pem'
    public = tls.public_key(ctx, ctx.at(tls.FOLDER) / 'key.pem')
    if not certificate.is_foreign(ctx, path, public) or not usable(ctx, path, names):
        return True
    return certificate.ends_within(ctx, path, 30 * certificate.DAY)


def renew(ctx: Context, reload: Callable[[], None]) -> str:
    """Has a certificate issued when one is due, and says what was done; raises StepError."""
    found = settings(ctx)
    if not found:
        return 'This device has no public name'
    names = [str(one) for one in found['names']]  # type: ignore[union-attr]
    if not is_due(ctx, names):
        return 'The certificate is good for 30 days and more'
    with tempfile.TemporaryDirectory(dir=ctx.run_folder) as place:
        whole = issue(ctx, found, Path(place))
        trial = Path(place, 'trial.pem')
        trial.write_bytes(whole)
        if not usable(ctx, trial, names):
            raise StepError('what the authority gave is not good for this device: the old one stays', HINT)
    with certificate.alone(ctx):
        write(ctx.at(tls.FOLDER) / 'cert.pem', whole, 0o644)
    reload()
    return f'A certificate for {", ".join(names)} was issued'


def start(ctx: Context, found: dict[str, object], reload: Callable[[], None]) -> str:
    """Opens the names in nginx, has the first certificate issued, and keeps the settings only when that worked."""
    folder = ctx.at(tls.FOLDER)
    if not tls.public_key(ctx, folder / 'key.pem'):
        raise StepError('there is no TLS key', 'open the data partition: amslpr-device unlock')
    before = settings(ctx)
    write(folder / NAMES, f'server_name {" ".join(map(str, found["names"]))};\n')  # type: ignore[call-overload]
    write_record(folder / SETTINGS, found)
    reload()
    try:
        return renew(ctx, reload)
    except StepError:
        if not before:
            end(ctx, reload)
        else:
            write_record(folder / SETTINGS, before)
            write(folder / NAMES, f'server_name {" ".join(map(str, before["names"]))};\n')  # type: ignore[call-overload]
            reload()
        raise


def end(ctx: Context, reload: Callable[[], None]) -> None:
    """The device's own certificate again."""
    folder = ctx.at(tls.FOLDER)
    for name in (SETTINGS, NAMES):
        (folder / name).unlink(missing_ok=True)
    public = tls.public_key(ctx, folder / 'key.pem')
    if certificate.is_foreign(ctx, folder / 'cert.pem', public):
        with tempfile.TemporaryDirectory(dir=ctx.run_folder) as place, certificate.alone(ctx):
            write(folder / 'cert.pem', tls.issue(ctx, folder / 'key.pem', Path(place))[1], 0o644)
    reload()


def main(ctx: Context, rest: list[str]) -> int:
    """Returns the exit code: 1 when the certificate that was there stays."""
    parser = argparse.ArgumentParser(prog='amslpr-device tls', description=(__doc__ or '').split('\n')[0])
    verbs = parser.add_subparsers(dest='verb', required=True)
    public = verbs.add_parser('public', help='a certificate of a public authority, renewed by itself')
    public.add_argument('names', nargs='+', metavar='NAME')
    public.add_argument('--email', default='', help='where the authority writes to')
    public.add_argument('--server', default=SERVER, help="another authority's directory (RFC 8555)")
    verbs.add_parser('private', help="the device's own certificate again")
    verbs.add_parser('acme', help='renew it when it is due; a timer does')
    wanted = parser.parse_args(rest)
    site.recall(ctx)
    try:
        if wanted.verb == 'public':
            wrong = [name for name in wanted.names if not PUBLIC.fullmatch(name)]
            if wrong:
                parser.error(
                    f'{", ".join(wrong)}: no public host name; write it in small letters, like gate.example.org'
                )
            found: dict[str, object] = {'names': wanted.names, 'email': wanted.email, 'server': wanted.server}
            print(start(ctx, found, lambda: certificate.reload_nginx(ctx)))
        elif wanted.verb == 'private':
            end(ctx, lambda: certificate.reload_nginx(ctx))
            print("The device's own certificate is used")
        else:
            print(renew(ctx, lambda: certificate.reload_nginx(ctx)))
    except StepError as error:
        print(f'amslpr-device tls: {error.message}. {error.hint}'.rstrip(' .'), file=sys.stderr)
        return 1
    return 0
