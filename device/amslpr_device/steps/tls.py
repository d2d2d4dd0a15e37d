"""Makes the TLS key (ECDSA P-256) and a certificate for the site's names and this device's addresses.

Checked by reading them: the key parses, the certificate belongs to it, is valid now, and names what it must. A cut
leaves none or whole files, the key first. The certificate is made again with the same key when it ran out, is not yet
valid, ends years from now (the clock was wrong) or lacks an address; one of another authority is left alone. With
`mode: csr` a request lies beside it.
"""

from __future__ import annotations

import ipaddress
import json
import re
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from amslpr_device.context import Context
from amslpr_device.files import holds, write
from amslpr_device.steps.clock import floor

FOLDER = '/etc/amslpr/ssl'
SERVED = 'server-names.conf'
# Days that a certificate may end later than one of today: a board without a clock starts in its past.
SLACK = 60
CONFIG = """[ca]
default_ca = device
[device]
database = {folder}/index.txt
new_certs_dir = {folder}
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
x509_extensions = leaf
[any]
commonName = supplied
[req]
distinguished_name = name
prompt = no
req_extensions = request
[name]
CN = {name}
[request]
subjectAltName = {names}
[leaf]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = {names}
"""


def names(ctx: Context) -> list[str]:
    """Host names and the site's own names, then addresses, without repeats."""
    host = ctx.site['hostname']
    return list(dict.fromkeys([host, f'{host}.local', *ctx.site.get('tls', {}).get('names', []), *addresses(ctx)]))


def addresses(ctx: Context) -> list[str]:
    """The device's addresses that others can reach."""
    found = json.loads(ctx.run(['ip', '-json', 'address']) or b'[]')
    every = [info['local'] for link in found for info in link.get('addr_info', []) if not info.get('temporary')]
    usable = [
        one for one in every if not (ipaddress.ip_address(one).is_loopback or ipaddress.ip_address(one).is_link_local)
    ]
    return sorted(usable)


def is_address(name: str) -> bool:
    """Whether a name of a certificate is an IP address."""
    return re.fullmatch(r'[0-9.]+|[0-9a-f:.]*:[0-9a-f:.]*', name) is not None


def public_key(ctx: Context, key: Path) -> bytes:
    """The public part of a key, empty when the key is not good."""
    arguments = ['openssl', 'pkey', '-in', str(key), '-pubout']
    return ctx.run(arguments) if key.is_file() and ctx.succeeds(arguments) else b''


def certified_key(ctx: Context, certificate: Path) -> bytes:
    """The public key of a certificate, empty when that is not good."""
    arguments = ['openssl', 'x509', '-in', str(certificate), '-noout', '-pubkey']
    return ctx.run(arguments) if certificate.is_file() and ctx.succeeds(arguments) else b''


def certificate_ok(ctx: Context, certificate: Path, key: bytes) -> bool:
    """Whether a certificate can stay."""
    if not key or certified_key(ctx, certificate) != key:
        return False
    read = ['openssl', 'x509', '-in', str(certificate), '-noout']
    told = ctx.run(
        [*read, '-subject', '-issuer', '-startdate', '-ext', 'subjectAltName', '-nameopt', 'RFC2253']
    ).decode()
    subject, issuer = (re.search(rf'^{word}=\s*(.*)$', told, re.M) for word in ('subject', 'issuer'))
    if subject and issuer and subject[1] != issuer[1]:
        return True
    start = re.search(r'^notBefore=(.*) GMT$', told, re.M)
    begins = datetime.strptime(start[1], '%b %d %H:%M:%S %Y').replace(tzinfo=UTC).timestamp() if start else 0
    named = {str(ipaddress.ip_address(one)) if is_address(one) else one for one in sans(told)}
    too_long = (days(ctx) + SLACK) * 86_400
    return (
        set(names(ctx)) <= named
        and begins <= time.time()
        and ctx.succeeds([*read, '-checkend', '0'])
        and not ctx.succeeds([*read, '-checkend', str(too_long)])
    )


def sans(told: str) -> list[str]:
    """Names of a certificate as openssl prints them."""
    return [match[1].lower() for match in re.finditer(r'(?:DNS|IP Address):([^,\s]+)', told)]


def served(ctx: Context) -> str:
    """The line by which nginx answers to the names of the site; its own configuration has host name and addresses."""
    listed = [one for one in names(ctx) if not is_address(one) and one != ctx.site['hostname']]
    return f'server_name {" ".join(listed)};\n'


def product_ok(ctx: Context) -> bool:
    """Whether key, certificate and, where one is wanted, request are good, and nginx knows the names."""
    folder = ctx.at(FOLDER)
    key = public_key(ctx, folder / 'key.pem')
    wants_request = ctx.site.get('tls', {}).get('mode') == 'csr'
    named = holds(folder / SERVED, served(ctx), 0o644)
    return (
        named
        and certificate_ok(ctx, folder / 'cert.pem', key)
        and (not wants_request or (folder / 'request.csr').is_file())
    )


def make(ctx: Context) -> None:
    """Makes what is missing; a good key is kept."""
    folder = ctx.at(FOLDER)
    key = folder / 'key.pem'
    write(folder / SERVED, served(ctx), 0o644)
    if not public_key(ctx, key):
        write(key, ctx.run(['openssl', 'genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256']), 0o600)
    with tempfile.TemporaryDirectory(dir=ctx.run_folder) as place:
        request, certificate = issue(ctx, key, Path(place))
    if ctx.site.get('tls', {}).get('mode') == 'csr':
        write(folder / 'request.csr', request, 0o644)
    if not certificate_ok(ctx, folder / 'cert.pem', public_key(ctx, key)):
        write(folder / 'cert.pem', certificate, 0o644)


def issue(ctx: Context, key: Path, place: Path) -> tuple[bytes, bytes]:
    """A request, and a certificate by the key itself; it starts a day before the time that is known to have been.

    A clock that is ahead of that makes it start no later: it must still be good when the time has been corrected.
    """
    listed = ','.join(f'IP:{one}' if is_address(one) else f'DNS:{one}' for one in names(ctx))
    config = place / 'openssl.cnf'
    config.write_text(CONFIG.format(folder=place, name=ctx.site['hostname'], names=listed))
    (place / 'index.txt').touch()
    request = place / 'request.csr'
    ctx.run(['openssl', 'req', '-new', '-key', str(key), '-config', str(config), '-out', str(request)])
    start = datetime.fromtimestamp(min(floor(ctx) or time.time(), time.time()), UTC) - timedelta(days=1)
    # Good for the promised days from now on, however long ago the image was built.
    end = datetime.fromtimestamp(time.time(), UTC) + timedelta(days=days(ctx))
    dates = ['-startdate', start.strftime('%Y%m%d%H%M%SZ'), '-enddate', end.strftime('%Y%m%d%H%M%SZ')]
    arguments = [
        'openssl',
        'ca',
        '-batch',
        '-selfsign',
        '-notext',
        '-config',
        str(config),
        '-keyfile',
        str(key),
        *dates,
    ]
    return request.read_bytes(), ctx.run([*arguments, '-in', str(request), '-outdir', str(place)])


def days(ctx: Context) -> int:
    """How long a certificate is good for."""
    try:
        return int(json.loads(ctx.at('/usr/share/amslpr/tls.json').read_text())['days'])
    except (OSError, ValueError, KeyError):
        return 365
