"""certbot against a real authority for tests (pebble), in a network of their own where all names lead to this host."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from network_pair import DEVICE, Party, holder

from amslpr_device import acme, certificate
from amslpr_device.context import Context, StepError
from amslpr_device.steps import tls

# Real cryptsetup, age, databases, networks: with all others in ci/test, not before each commit.
pytestmark = pytest.mark.slow

PORT = 5002
PROGRAM = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(DEVICE)!r})
from amslpr_device import acme, certificate
from amslpr_device.context import Context
from amslpr_device.steps import tls
tls.addresses = lambda ctx: ['192.0.2.7', '2001:db8::7']
certificate.reload_nginx = lambda ctx: print('nginx is told')
ctx = Context(Path(sys.argv[1]))
sys.exit(acme.main(ctx, sys.argv[2:]))
"""
# What nginx does for the authority: one folder in memory, at one path. The folder is made when it is needed.
WEB = """
import http.server, pathlib, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        place = pathlib.Path(sys.argv[1]) / self.path.lstrip('/')
        found = place.read_bytes() if self.path.startswith('/.well-known/acme-challenge/') and place.is_file() else b''
        self.send_response(200 if found else 404)
        self.end_headers()
        self.wfile.write(found)
    def log_message(self, *unused):
        pass
server = http.server.HTTPServer(('127.0.0.1', int(sys.argv[2])), Answer)
print('listens', flush=True)
server.serve_forever()
"""


class Authority:
    """pebble with its DNS server, and the device in reach of both."""

    def __init__(self, root: Path, folder: Path, days: int) -> None:
        self.root, self.folder = root, folder
        self.host = Party(holder('unshare', '-r', '-n'))
        self.host.run('ip', 'link', 'set', 'lo', 'up')
        key, self.ca = folder / 'key.pem', folder / 'ca.pem'
        make = ['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', str(key), '-out', str(self.ca)]
        subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1', '-days', '2']
        subprocess.run([*make, *subject], check=True, capture_output=True)
        settings = {
            'listenAddress': '127.0.0.1:14000',
            'managementListenAddress': '127.0.0.1:15000',
            'certificate': str(self.ca),
            'privateKey': str(key),
            'httpPort': PORT,
            'tlsPort': 5001,
            'certificateValidityPeriod': days * 86_400,
        }
        (folder / 'pebble.json').write_text(json.dumps({'pebble': settings}))
        self.background(
            'pebble-challtestsrv',
            '-defaultIPv6',
            '',
            '-defaultIPv4',
            '127.0.0.1',
            '-http01',
            '',
            '-https01',
            '',
            '-tlsalpn01',
            '',
        )
        self.background(
            'env',
            'PEBBLE_VA_NOSLEEP=1',
            'PEBBLE_WFE_NONCEREJECT=0',
            'pebble',
            '-config',
            str(folder / 'pebble.json'),
            '-dnsserver',
            '127.0.0.1:8053',
        )
        self.host.start(sys.executable, '-c', WEB, f'{root}{acme.WEBROOT}', str(PORT))
        for _ in range(100):
            if self.host.reaches(('127.0.0.1', 14000), ('127.0.0.1', 8055)) or self.listens():
                break

    def listens(self) -> bool:
        """Whether the authority takes connections."""
        said = self.host.run('ss', '-Hltn')
        return '127.0.0.1:14000' in said and ':8053' in said

    def background(self, *command: str) -> None:
        """Starts a server."""
        log = (self.folder / f'{len(self.host.children)}.log').open('wb')
        self.host.children.append(
            subprocess.Popen(self.host.inside(*command), stdout=log, stderr=log, text=True)  # type: ignore[arg-type]
        )

    def tls(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`amslpr-device tls ARGUMENTS` on the device."""
        environment = ['env', f'REQUESTS_CA_BUNDLE={self.ca}', sys.executable, '-c', PROGRAM, str(self.root)]
        return subprocess.run(self.host.inside(*environment, *arguments), capture_output=True, text=True, check=False)

    def public(self, *names: str) -> subprocess.CompletedProcess[str]:
        """Asks this authority."""
        return self.tls('public', *names, '--server', 'https://127.0.0.1:14000/dir')

    def stop(self) -> None:
        """Ends every process."""
        for process in [*self.host.children, self.host.process]:
            process.kill()
            process.wait()


@pytest.fixture
def device(web: Context) -> Context:
    """A device with its own certificate."""
    (web.state / 'site.yaml').write_bytes((web.boot / 'site.yaml').read_bytes())
    tls.make(web)
    return web


@pytest.fixture(params=[90])
def authority(
    device: Context, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Authority]:
    """One whose certificates are good for so many days."""
    made = Authority(device.root, tmp_path_factory.mktemp('authority'), request.param)
    yield made
    made.stop()


def certificate_of(ctx: Context) -> tuple[bytes, bytes, str]:
    """Key, certificate, and its issuer with its names."""
    folder = ctx.at(tls.FOLDER)
    read = ['openssl', 'x509', '-in', str(folder / 'cert.pem'), '-noout', '-issuer', '-ext', 'subjectAltName']
    return (folder / 'key.pem').read_bytes(), (folder / 'cert.pem').read_bytes(), ctx.run(read).decode()


@pytest.mark.slow
def test_a_public_authority_certifies_the_key_that_is_there(device: Context, authority: Authority) -> None:
    key, own, _ = certificate_of(device)
    done = authority.public('gate.example.org', 'www.gate.example.org')
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == 'A certificate for gate.example.org, www.gate.example.org was issued'
    same, issued, told = certificate_of(device)
    assert same == key
    assert issued != own
    assert 'Pebble Intermediate CA' in told
    assert 'DNS:gate.example.org, DNS:www.gate.example.org' in told
    # With its chain, readable for nginx, and the names are open.
    assert issued.count(b'BEGIN CERTIFICATE') >= 2
    assert (device.at(tls.FOLDER) / acme.NAMES).read_text() == 'server_name gate.example.org www.gate.example.org;\n'
    # Nothing of the challenge is left, and it is not asked again before it is due.
    assert [path for path in device.at(acme.WEBROOT).rglob('*') if path.is_file()] == []
    again = authority.tls('acme')
    assert (again.returncode, again.stdout) == (0, 'The certificate is good for 30 days and more\n')
    assert certificate.renew(device, lambda: None) == 'The certificate is of another authority and stays'

    back = authority.tls('private')
    assert back.returncode == 0, back.stderr
    assert certificate_of(device)[0] == key
    assert tls.product_ok(device)
    assert 'Pebble' not in certificate_of(device)[2]
    assert authority.tls('acme').stdout == 'This device has no public name\n'


@pytest.mark.slow
@pytest.mark.parametrize('authority', [20], indirect=True)
def test_it_is_renewed_when_it_is_due_and_stays_when_nobody_answers(device: Context, authority: Authority) -> None:
    assert authority.public('gate.example.org').returncode == 0
    key, first, _ = certificate_of(device)
    assert authority.tls('acme').returncode == 0
    same, second, told = certificate_of(device)
    assert (same == key, second != first, 'Pebble' in told) == (True, True, True)
    for process in authority.host.children:
        process.kill()
        process.wait()
    failed = authority.tls('acme')
    assert failed.returncode == 1
    assert 'the authority gave no certificate: certbot failed' in failed.stderr
    assert certificate_of(device)[1] == second


@pytest.mark.slow
def test_a_name_that_does_not_lead_here_changes_nothing(device: Context, authority: Authority) -> None:
    before = certificate_of(device)
    # The page that the authority looks for is not shown.
    authority.host.children[2].kill()
    authority.host.children[2].wait()
    failed = authority.public('gate.example.org')
    assert failed.returncode == 1
    assert 'the authority gave no certificate' in failed.stderr
    assert certificate_of(device) == before
    assert acme.settings(device) == {}
    assert not (device.at(tls.FOLDER) / acme.NAMES).exists()


def foreign(ctx: Context, place: Path, start: str, end: str) -> None:
    """A certificate of another authority for our key, good between two times."""
    ca_key, ca, csr = place / 'ca.key', place / 'ca.pem', place / 'our.csr'
    new = ['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=Some CA', '-days', '9']
    ctx.run([*new, '-keyout', str(ca_key), '-out', str(ca)])
    folder = ctx.at(tls.FOLDER)
    ctx.run(
        ['openssl', 'req', '-new', '-key', str(folder / 'key.pem'), '-subj', '/CN=gate.example.org', '-out', str(csr)]
    )
    (place / 'index.txt').touch()
    (place / 'ca.cnf').write_text(
        f'[ca]\ndefault_ca=d\n[d]\ndatabase={place}/index.txt\nnew_certs_dir={place}\nrand_serial=yes\n'
        'default_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n'
    )
    sign = [
        'openssl',
        'ca',
        '-batch',
        '-notext',
        '-config',
        str(place / 'ca.cnf'),
        '-keyfile',
        str(ca_key),
        '-cert',
        str(ca),
    ]
    made = ctx.run([*sign, '-startdate', start, '-enddate', end, '-in', str(csr), '-outdir', str(place)])
    (folder / 'cert.pem').write_bytes(made)


def test_one_that_ended_is_followed_by_the_devices_own(
    device: Context, tmp_path_factory: pytest.TempPathFactory
) -> None:
    foreign(device, tmp_path_factory.mktemp('ca'), '20200101000000Z', '20200201000000Z')
    with pytest.raises(StepError, match='another authority ends within 14 days'):
        certificate.renew(device, lambda: None)
    (device.at(tls.FOLDER) / acme.SETTINGS).write_text('{"names": ["gate.example.org"]}')
    assert certificate.renew(device, lambda: None) == 'A new certificate was made with the same key'
    assert tls.product_ok(device)
    assert 'Some CA' not in certificate_of(device)[2]


@pytest.mark.parametrize(
    'name', ['gate', 'Gate.example.org', '192.0.2.7', 'gate.example.org; x', '*.example.org', '-a.org']
)
def test_refuses_what_is_no_public_name(device: Context, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        acme.main(device, ['public', '--', name])
    assert ended.value.code == 2
    assert f'{name}: no public host name' in capsys.readouterr().err
