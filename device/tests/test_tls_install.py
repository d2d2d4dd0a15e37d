"""A certificate of the operator's own authority: requested, refused for each fault, and put in place."""

from __future__ import annotations

import hashlib
import io
import json
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from own_authority import DEVICE, SERVER, Company, Signer, openssl

from amslpr_device import certificate, cli, service
from amslpr_device.authority import command, read
from amslpr_device.context import Context, StepError
from amslpr_device.steps import tls

# Hundreds of calls of openssl: with all others in ci/test, not before each commit.
pytestmark = pytest.mark.slow

NAMES = ('DNS:gate-north', 'DNS:gate.example')


class Nginx:
    """What nginx is asked, in order; `fault` is what its test of the settings says."""

    def __init__(self) -> None:
        self.fault = ''
        self.asked: list[str] = []

    def test(self) -> None:
        self.asked.append('test')
        if self.fault:
            raise StepError(self.fault)

    def reload(self) -> None:
        self.asked.append('reload')


@pytest.fixture
def nginx() -> Nginx:
    return Nginx()


@pytest.fixture(scope='module')
def company(tmp_path_factory: pytest.TempPathFactory) -> Company:
    return Company(tmp_path_factory.mktemp('company'))


@pytest.fixture
def device(web: Context) -> Context:
    """A device whose site file wants a certificate of the operator's authority."""
    text = (web.boot / 'site.yaml').read_text().replace('tls:\n', 'tls:\n  mode: csr\n')
    (web.state / 'site.yaml').write_text(text)
    web.site['tls']['mode'] = 'csr'
    tls.make(web)
    return web


@pytest.fixture
def csr(device: Context, company: Company) -> Path:
    return company.request(command.request(device).decode())


def state(ctx: Context) -> dict[str, bytes]:
    """Every file of the folder with the key."""
    return {path.name: path.read_bytes() for path in ctx.at(tls.FOLDER).iterdir()}


def install(ctx: Context, text: str | bytes, nginx: Nginx) -> str:
    raw = text.encode() if isinstance(text, str) else text
    return command.install(ctx, raw, nginx.test, nginx.reload)


def refused(ctx: Context, text: str | bytes) -> list[str]:
    """The reasons; nothing was changed, and nginx was not asked."""
    before, nginx = state(ctx), Nginx()
    with pytest.raises(StepError) as error:
        install(ctx, text, nginx)
    assert state(ctx) == before and nginx.asked == []
    head, *reasons = error.value.message.split('\n')
    assert head == 'this certificate cannot be used, and nothing was changed:'
    return [reason.removeprefix('- ') for reason in reasons]


def test_the_request_has_the_key_the_names_and_the_addresses(device: Context, csr: Path) -> None:
    told = openssl('req', '-in', csr, '-noout', '-verify', '-text')
    for name in ('DNS:gate-north', 'DNS:gate-north.local', 'DNS:gate.example', 'IP Address:192.0.2.7'):
        assert name in told
    assert 'IP Address:2001:DB8:0:0:0:0:0:7' in told and 'TLS Web Server Authentication' in told
    assert openssl('req', '-in', csr, '-noout', '-pubkey').encode() == tls.public_key(
        device, device.at(tls.FOLDER) / 'key.pem'
    )


def test_the_request_is_of_today_and_refreshed_only_where_there_is_one(
    device: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, 'addresses', lambda ctx: ['192.0.2.99'])
    made = command.request(device)
    assert state(device)['request.csr'] == made
    device.site['tls']['mode'] = 'self-signed'
    before = state(device)
    assert command.request(device).startswith(b'-----BEGIN CERTIFICATE REQUEST-----')
    assert state(device) == before


def test_the_request_is_all_that_is_printed(device: Context, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(device, ['request']) == 0
    out, err = capsys.readouterr()
    assert re.fullmatch(r'-----BEGIN CERTIFICATE REQUEST-----\n[^-]+-----END CERTIFICATE REQUEST-----\n', out)
    assert err == ''


def test_a_good_one_is_put_in_place_with_its_chain(device: Context, company: Company, csr: Path, nginx: Nginx) -> None:
    said = install(device, company.chain(csr, *NAMES), nginx)
    assert nginx.asked == ['test', 'reload']
    path = device.at(tls.FOLDER) / 'cert.pem'
    assert (path.stat().st_mode & 0o777, path.read_text().count('BEGIN CERT')) == (0o644, 2)
    assert openssl('verify', '-CAfile', company.root.pem, '-untrusted', path, '-verify_hostname', 'gate.example', path)
    lines = dict(line.split(':', 1) for line in said.splitlines()[1:])
    assert lines['Certificate'].strip() == 'of an authority of yours'
    assert lines['Subject'].strip() == 'CN=gate-north'
    assert lines['Issuer'].strip() == 'CN=Company Devices'
    assert lines['Names'].strip() == 'gate-north, gate.example'
    assert lines['SHA-256'].strip() == openssl('x509', '-in', path, '-noout', '-fingerprint', '-sha256')[19:].strip()
    assert re.fullmatch(r'by you: tls request, tls install; an alert from \d{4}-\d\d-\d\d on', lines['Renewed'].strip())
    assert lines['Browsers must trust'].strip() == 'CN=Company Root'
    # Addresses are a note and no fault.
    missing = 'Not named, so that browsers complain when the device is reached by it'
    assert lines[missing].strip() == 'gate-north.local, 192.0.2.7, 2001:db8::7'
    assert [one.name for one in device.run_folder.iterdir()] == ['tls.lock']


def test_text_around_it_and_the_root_behind_it_do_no_harm(
    device: Context, company: Company, csr: Path, nginx: Nginx
) -> None:
    whole = company.chain(csr, *NAMES, 'DNS:gate-north.local', 'IP:192.0.2.7', 'IP:2001:db8::7')
    noisy = f'Bag Attributes\r\n{whole}{company.root.pem.read_text()}\n'.replace('\n', '\r\n')
    said = install(device, noisy, nginx)
    path = device.at(tls.FOLDER) / 'cert.pem'
    assert path.read_text() == whole + company.root.pem.read_text()
    assert 'complain' not in said


def test_a_wildcard_names_what_is_below_it(device: Context, company: Company, csr: Path, nginx: Nginx) -> None:
    device.site['tls']['names'] = ['gate.site.example', '192.0.2.200']
    assert 'in place' in install(device, company.chain(csr, 'DNS:gate-north', 'DNS:*.site.example'), nginx)
    (reason,) = refused(device, company.chain(csr, 'DNS:gate-north', 'DNS:*.example'))
    assert reason == 'it lacks gate.site.example; it names gate-north, *.example'


def test_twice_changes_nothing(device: Context, company: Company, csr: Path, nginx: Nginx) -> None:
    text = company.chain(csr, *NAMES)
    install(device, text, nginx)
    path = device.at(tls.FOLDER) / 'cert.pem'
    before = path.stat().st_mtime_ns, path.stat().st_ino
    assert install(device, text, nginx).startswith('The certificate was in place already: nothing was changed\n')
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before
    assert nginx.asked == ['test', 'reload']
    # Had the first run been killed before it told nginx, this one or the nightly one would.
    (device.run_folder / certificate.MARK).touch()
    install(device, text, nginx)
    (device.run_folder / certificate.MARK).touch()
    assert 'stays' in certificate.renew(device, nginx.reload)
    assert nginx.asked == ['test', 'reload', 'test', 'reload', 'reload']


def test_the_earlier_one_goes_back_when_nginx_refuses(
    device: Context, company: Company, csr: Path, nginx: Nginx
) -> None:
    before = state(device)
    nginx.fault = 'nginx failed (1): SSL_CTX_use_certificate failed'
    with pytest.raises(
        StepError, match=r'earlier certificate is in place again\. nginx failed \(1\): SSL_CTX'
    ) as error:
        install(device, company.chain(csr, *NAMES), nginx)
    assert 'nginx -t' in error.value.hint
    assert state(device) == before
    assert 'reload' not in nginx.asked
    # The same file is taken once nginx is well.
    nginx.fault = ''
    assert 'nginx has it' in install(device, company.chain(csr, *NAMES), nginx)


def test_a_server_with_it_is_believed_by_whoever_trusts_the_root(
    device: Context, company: Company, csr: Path, nginx: Nginx
) -> None:
    install(device, company.chain(csr, *NAMES), nginx)
    folder = device.at(tls.FOLDER)
    with socket.create_server(('127.0.0.1', 0)) as free:
        port = free.getsockname()[1]
    serve = ['openssl', 's_server', '-accept', f'127.0.0.1:{port}', '-quiet', '-key', folder / 'key.pem']
    server = subprocess.Popen(
        [*map(str, serve), '-cert', str(folder / 'cert.pem'), '-cert_chain', str(folder / 'cert.pem')],
        stdin=subprocess.PIPE,
    )
    try:
        ask = ['openssl', 's_client', '-connect', f'127.0.0.1:{port}', '-verify_return_error', '-CAfile']
        ask += [str(company.root.pem), '-verify_hostname', 'gate.example', '-servername', 'gate.example']
        done = subprocess.run(ask, input='', capture_output=True, text=True, check=False)
        for _ in range(50):
            # It does not listen yet.
            if 'Connection refused' not in done.stderr:
                break
            time.sleep(0.1)
            done = subprocess.run(ask, input='', capture_output=True, text=True, check=False)
    finally:
        server.kill()
        server.wait()
    assert (done.returncode, 'Verify return code: 0 (ok)' in done.stdout) == (0, True), done.stderr


@pytest.mark.parametrize(
    ('text', 'reason'),
    [
        (b'', 'it is no PEM: lines with'),
        (b'hello', 'it is no PEM: lines with'),
        (b'\x30\x82\x01\x00rest', 'it is no PEM but binary (DER'),
        (b'-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n', 'certificate 1 of the file cannot be read'),
        (b'-----BEGIN PKCS7-----\nMIIB\n-----END PKCS7-----\n', 'it is PKCS #7'),
        (b'a' * (read.MOST_BYTES + 1), 'it has more than 64 KiB'),
        (b'-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n' * 11, 'there are 11 certificates in it'),
    ],
)
def test_what_is_no_certificate(device: Context, text: bytes, reason: str) -> None:
    (found,) = refused(device, text)
    assert found.startswith(reason)


def test_a_cut_file_and_the_request_itself(device: Context, company: Company, csr: Path) -> None:
    whole = company.chain(csr, *NAMES)
    (reason,) = refused(device, whole[: len(whole) // 4])
    assert reason.startswith('it is no PEM')
    assert refused(device, csr.read_bytes()) == ['it is the request: what the authority made of it is wanted']


def test_a_private_key_is_kept_away_whatever_else_is_there(device: Context, company: Company, csr: Path) -> None:
    for text in (company.chain(csr, *NAMES), ''):
        key = company.root.key.read_text()
        (reason,) = refused(device, text + key)
        assert 'Keep that away from the device, which has its own' in reason
        assert key.splitlines()[1] not in reason


def other_key(company: Company) -> Path:
    """A request that this device did not make."""
    key, path = company.folder / 'other.key', company.folder / 'other.csr'
    openssl('genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', key)
    openssl('req', '-new', '-key', key, '-subj', '/CN=gate-north', '-out', path)
    return path


def test_another_key(device: Context, company: Company) -> None:
    (reason,) = refused(device, company.chain(other_key(company), *NAMES))
    assert reason.startswith('it is for another key: it was made for another request')


@pytest.mark.parametrize(
    ('begins', 'ends', 'reason'),
    [
        (2, 300, r'the certificate is not valid yet: it begins [-\d]+ [:\d]+ UTC'),
        (-9, -2, r'the certificate is over: it ended [-\d]+ [:\d]+ UTC'),
        (-9, 0.9, r'the certificate ends within a day: [-\d]+ [:\d]+ UTC'),
    ],
)
def test_the_wrong_time(device: Context, company: Company, csr: Path, begins: float, ends: float, reason: str) -> None:
    text = company.chain(csr, *NAMES, begins=begins, ends=ends)
    clock = r", and the device's clock says [-\d]+ [:\d]+ UTC"
    unsure = ', which no time server has confirmed since the start'
    assert re.fullmatch(reason + clock + unsure, refused(device, text)[0])
    mark = device.at('/run/systemd/timesync/synchronized')
    mark.parent.mkdir(parents=True)
    mark.touch()
    assert re.fullmatch(reason + clock, refused(device, text)[0])


def test_an_intermediate_that_is_over(device: Context, company: Company, csr: Path, tmp_path: Path) -> None:
    old = Signer(tmp_path, 'Old Devices', company.root, begins=-90, ends=-2)
    text = old.sign(csr, (*DEVICE, SERVER, f'subjectAltName = {",".join(NAMES)}')) + old.pem.read_text()
    (reason,) = refused(device, text)
    assert reason.startswith('certificate 2 of the file (CN=Old Devices) is over')


def test_missing_names_are_listed_with_those_that_are_there(device: Context, company: Company, csr: Path) -> None:
    (reason,) = refused(device, company.chain(csr, 'DNS:gate.example', 'IP:192.0.2.7'))
    assert reason == 'it lacks gate-north; it names gate.example, 192.0.2.7'
    # Browsers have not looked at the subject for years.
    (reason,) = refused(device, company.chain(csr))
    assert reason == 'it lacks gate-north, gate.example; it names nothing (subjectAltName)'


@pytest.mark.parametrize(
    ('use', 'reason'),
    [
        (DEVICE, 'it is not for servers (extendedKeyUsage serverAuth): it says nothing of its use'),
        (
            (*DEVICE, 'extendedKeyUsage = clientAuth'),
            'it is not for servers (extendedKeyUsage serverAuth): it says TLS Web Client Authentication',
        ),
        (
            (DEVICE[0], 'keyUsage = keyEncipherment', SERVER),
            'its key may not sign (keyUsage digitalSignature), which TLS needs: it may Key Encipherment',
        ),
    ],
)
def test_another_use(device: Context, company: Company, csr: Path, use: tuple[str, ...], reason: str) -> None:
    assert refused(device, company.chain(csr, *NAMES, use=use)) == [reason]


def test_an_authority_as_the_first(device: Context, company: Company, csr: Path) -> None:
    use = ('basicConstraints = critical,CA:TRUE', 'keyUsage = digitalSignature,keyCertSign', SERVER)
    (reason,) = refused(device, company.chain(csr, *NAMES, use=use))
    assert reason == 'the first certificate (CN=gate-north) is that of an authority, not of a device'


def test_the_wrong_way_round(device: Context, company: Company, csr: Path) -> None:
    reasons = refused(device, company.between.pem.read_text() + company.leaf(csr, *NAMES))
    assert "the device's certificate is number 2 of the file: it must be the first" in reasons
    assert not [one for one in reasons if 'another request' in one]
    assert 'the first certificate (CN=Company Devices) is that of an authority, not of a device' in reasons


def test_a_chain_out_of_order(device: Context, company: Company, csr: Path) -> None:
    text = company.leaf(csr, *NAMES) + company.root.pem.read_text() + company.between.pem.read_text()
    reasons = refused(device, text)
    assert reasons == [
        'certificate 1 (CN=gate-north) is not signed by certificate 2 (CN=Company Root) but by certificate 3: the '
        'order is wrong',
        'certificate 2 (CN=Company Root) is not signed by certificate 3 (CN=Company Devices) but by itself: a root is '
        'the last of a file, or not in it',
    ]


def test_a_chain_with_a_gap(device: Context, company: Company, csr: Path) -> None:
    (reason,) = refused(device, company.leaf(csr, *NAMES) + company.root.pem.read_text())
    assert reason == (
        'certificate 1 (CN=gate-north) is not signed by certificate 2 (CN=Company Root): its issuer, CN=Company '
        'Devices, is not in the file'
    )


def test_a_chain_of_names_alone(device: Context, company: Company, csr: Path, tmp_path: Path) -> None:
    # Another one of the same name, as after a renewal of the intermediate with a new key.
    newer = Signer(tmp_path, 'Company Devices', company.root)
    (reason,) = refused(device, company.leaf(csr, *NAMES) + newer.pem.read_text())
    assert re.search(r'though that has the name of its issuer: \w+', reason)


def test_a_chain_that_breaks_a_rule_of_its_authority(
    device: Context, company: Company, csr: Path, tmp_path: Path
) -> None:
    use = ('nameConstraints = critical,permitted;DNS:other.example',)
    path = tmp_path / 'narrow'
    path.mkdir()
    narrow = Signer(path, 'Narrow', company.root)
    openssl('req', '-new', '-key', narrow.key, '-subj', '/CN=Narrow', '-out', path / 'again.csr')
    extensions = ('basicConstraints = critical,CA:TRUE', 'keyUsage = critical,keyCertSign', *use)
    narrow.pem.write_text(company.root.sign(path / 'again.csr', extensions))
    leaf = narrow.sign(csr, (*DEVICE, SERVER, f'subjectAltName = {",".join(NAMES)}'))
    reasons = refused(device, leaf + narrow.pem.read_text() + company.root.pem.read_text())
    assert len(reasons) == 1 and 'permitted subtree violation' in reasons[0]


def test_weak_keys_and_signatures(device: Context, company: Company, csr: Path, tmp_path: Path) -> None:
    (reason,) = refused(device, company.chain(csr, *NAMES, digest='sha1'))
    assert reason == ('certificate 1 is signed with sha1WithRSAEncryption, which browsers refuse: SHA-256 is wanted')
    small = Signer(tmp_path, 'Small', company.root, key='rsa:1024', digest='sha1')
    text = small.sign(csr, (*DEVICE, SERVER, f'subjectAltName = {",".join(NAMES)}')) + small.pem.read_text()
    assert refused(device, text) == [
        'certificate 2 has an RSA key of 1024 bits; 2048 are the least',
        'certificate 2 is signed with sha1WithRSAEncryption, which browsers refuse: SHA-256 is wanted',
    ]


def test_one_that_is_signed_by_itself(device: Context) -> None:
    (reason,) = refused(device, (device.at(tls.FOLDER) / 'cert.pem').read_text())
    assert reason.startswith('it is signed by itself')


def test_every_fault_is_told_at_once(device: Context, company: Company) -> None:
    use = ('basicConstraints = critical,CA:TRUE',)
    leaf = company.leaf(other_key(company), 'DNS:else.example', use=use, begins=-9, ends=-1, digest='sha1')
    reasons = refused(device, leaf + company.root.pem.read_text())
    words = ['another key', 'of an authority', 'is over', 'it lacks', 'not for servers', 'sha1', 'not signed by']
    assert [word in reason for word, reason in zip(words, reasons, strict=True)] == [True] * 7


def test_by_file_by_standard_input_and_by_none(
    device: Context, company: Company, csr: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, 'test_nginx', lambda ctx: None)
    monkeypatch.setattr(certificate, 'reload_nginx', lambda ctx: None)
    text = company.chain(csr, *NAMES)
    path = company.folder / 'gate.pem'
    path.write_text(text)
    assert command.main(device, ['install', str(path)]) == 0
    assert capsys.readouterr().out.startswith('The certificate is in place, and nginx has it\n')
    for words in (['install'], ['install', '-']):
        monkeypatch.setattr(sys, 'stdin', io.TextIOWrapper(io.BytesIO(text.encode())))
        assert command.main(device, words) == 0
        assert 'in place already' in capsys.readouterr().out
    assert command.main(device, ['install', str(path.with_name('none.pem'))]) == 1
    assert 'none.pem cannot be read: No such file' in capsys.readouterr().err
    assert command.main(device, ['install', 'a', 'b']) == 2
    assert command.main(device, ['request', 'a']) == 2


def test_a_public_authority_is_ended_first(device: Context, company: Company, csr: Path, nginx: Nginx) -> None:
    (device.at(tls.FOLDER) / 'acme.json').write_text('{"names": ["gate.example"]}')
    with pytest.raises(StepError, match='a public authority') as error:
        install(device, company.chain(csr, *NAMES), nginx)
    assert error.value.hint == 'end that first: sudo amslpr-device tls private'


def test_closed_data(ctx: Context, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (['request'], ['install', '/dev/null']):
        assert command.main(ctx, words) == 1
        assert capsys.readouterr().err.splitlines()[-1] == 'Next: open the data partition: amslpr-device unlock'
    assert service.answer(ctx, 'tls show')[0] == 1


def test_it_stays_at_later_starts_also_with_a_new_address(
    device: Context, company: Company, csr: Path, nginx: Nginx, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(device, company.chain(csr, *NAMES), nginx)
    before = state(device)
    for address in ('192.0.2.7', '198.51.100.3'):
        monkeypatch.setattr(tls, 'addresses', lambda ctx, address=address: [address])
        assert tls.product_ok(device)
        assert certificate.renew(device, nginx.reload) == 'The certificate is of another authority and stays'
        assert state(device) == before
    # Even when something else makes the step run.
    (device.at(tls.FOLDER) / tls.SERVED).unlink()
    assert not tls.product_ok(device)
    tls.make(device)
    assert tls.product_ok(device) and state(device)['cert.pem'] == before['cert.pem']


def test_two_at_a_time_wait_for_each_other(device: Context, company: Company, csr: Path, nginx: Nginx) -> None:
    texts = [company.chain(csr, *NAMES) for _ in range(2)]
    with certificate.alone(device):
        threads = [threading.Thread(target=install, args=(device, text, nginx)) for text in texts]
        for thread in threads:
            thread.start()
        time.sleep(0.3)
        assert nginx.asked == []
    for thread in threads:
        thread.join()
    assert nginx.asked == ['test', 'reload'] * 2
    assert state(device)['cert.pem'].decode() in texts


def test_status_tells_that_the_request_waits_and_show_whose_it_is(
    device: Context, company: Company, csr: Path, nginx: Nginx
) -> None:
    code, shown = service.answer(device, 'tls show')
    assert code == 0 and "Certificate:      the device's own\n" in shown
    assert f'{command.WAITS}\n' in shown
    status = service.answer(device, 'status')[1]
    assert json.loads(status)['request_waits'] is True
    assert command.WAITS in cli.readable(status).splitlines()
    install(device, company.chain(csr, *NAMES), nginx)
    status = service.answer(device, 'status')[1]
    assert json.loads(status)['request_waits'] is False and command.WAITS not in cli.readable(status)
    shown = service.answer(device, 'tls show')[1]
    assert 'Certificate:      of an authority of yours\n' in shown and command.WAITS not in shown
    # The key is the one of the device's report, by which it is known.
    key = device.run(['openssl', 'pkey', '-in', str(device.at(tls.FOLDER) / 'key.pem'), '-pubout', '-outform', 'DER'])
    assert f'SHA-256 of key:   {hashlib.sha256(key).hexdigest()}\n' in shown
