"""The device's certificate is renewed with its key, in time, and nobody else's is touched."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from amslpr_device import certificate
from amslpr_device.context import Context, StepError
from amslpr_device.steps import clock, tls

DAY = certificate.DAY


class Nginx:
    """Counts reloads; `broken` ones fail."""

    def __init__(self) -> None:
        self.reloads = 0
        self.broken = False

    def __call__(self) -> None:
        if self.broken:
            raise StepError('systemctl failed')
        self.reloads += 1


@pytest.fixture
def nginx() -> Nginx:
    return Nginx()


def with_days(ctx: Context, days: int) -> None:
    """The image's option `tls.days`."""
    path = ctx.at('/usr/share/amslpr/tls.json')
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'{{"days": {days}}}')


def files(ctx: Context) -> tuple[bytes, bytes]:
    folder = ctx.at(tls.FOLDER)
    return (folder / 'key.pem').read_bytes(), (folder / 'cert.pem').read_bytes()


def test_a_fresh_one_stays(web: Context, nginx: Nginx) -> None:
    tls.make(web)
    before = files(web)
    assert 'is good' in certificate.renew(web, nginx)
    assert files(web) == before and nginx.reloads == 0


def test_nginx_answers_to_the_names_of_the_site(web: Context) -> None:
    tls.make(web)
    path = web.at(tls.FOLDER) / tls.SERVED
    assert path.read_text() == 'server_name gate-north.local gate.example;\n'
    path.unlink()
    assert not tls.product_ok(web)
    tls.make(web)
    assert tls.product_ok(web)


def test_one_that_is_due_is_made_anew_with_its_key(web: Context, nginx: Nginx) -> None:
    with_days(web, 20)
    tls.make(web)
    with_days(web, 365)
    (key, old) = files(web)
    assert certificate.renew(web, nginx) == 'A new certificate was made with the same key'
    (same, new) = files(web)
    assert same == key and new != old and nginx.reloads == 1
    assert tls.product_ok(web)
    assert not certificate.ends_within(web, web.at(tls.FOLDER) / 'cert.pem', 300 * DAY)
    assert 'is good' in certificate.renew(web, nginx)


@pytest.mark.parametrize(('days', 'left'), [(7, 2), (90, 30), (398, 30)])
def test_short_ones_are_not_renewed_every_day(web: Context, days: int, left: int) -> None:
    with_days(web, days)
    assert certificate.due(web) // DAY == left
    tls.make(web)
    assert not certificate.ends_within(web, web.at(tls.FOLDER) / 'cert.pem', certificate.due(web))


def test_nginx_is_told_later_when_it_could_not_be(web: Context, nginx: Nginx) -> None:
    with_days(web, 20)
    tls.make(web)
    with_days(web, 365)
    nginx.broken = True
    with pytest.raises(StepError):
        certificate.renew(web, nginx)
    made = files(web)
    nginx.broken = False
    certificate.renew(web, nginx)
    assert files(web) == made and nginx.reloads == 1


def test_address_that_changed(web: Context, nginx: Nginx, monkeypatch: pytest.MonkeyPatch) -> None:
    tls.make(web)
    monkeypatch.setattr(tls, 'addresses', lambda ctx: ['192.0.2.8'])
    certificate.renew(web, nginx)
    assert (
        b'192.0.2.8'
        in subprocess.run(
            ['openssl', 'x509', '-in', web.at(tls.FOLDER) / 'cert.pem', '-noout', '-ext', 'subjectAltName'],
            capture_output=True,
            check=True,
        ).stdout
    )


def test_a_clock_that_was_ten_years_ahead(web: Context, nginx: Nginx) -> None:
    # What the device wrote then does not count.
    ready = web.at('/var/lib/amslpr-device/ready')
    ready.parent.mkdir(parents=True, exist_ok=True)
    ready.touch()
    later = time.time() + 3652 * DAY
    os.utime(ready, (later, later))
    assert clock.floor(web) < time.time()
    tls.make(web)
    assert tls.product_ok(web)
    # A certificate of that time begins before now and ends years from now: it is made anew, with its key.
    with_days(web, 3652 + 365)
    (web.at(tls.FOLDER) / 'cert.pem').unlink()
    tls.make(web)
    with_days(web, 365)
    key, old = files(web)
    assert not tls.product_ok(web)
    certificate.renew(web, nginx)
    assert files(web)[0] == key and files(web)[1] != old
    assert tls.product_ok(web) and nginx.reloads == 1


def test_a_clock_behind_the_last_known_time(web: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    # Nothing sets the clock here: the certificate is good at once all the same.
    monkeypatch.setattr(tls, 'floor', lambda _: time.time() + 30 * DAY)
    tls.make(web)
    assert tls.product_ok(web)


def signed_elsewhere(ctx: Context, days: int) -> None:
    """Puts a certificate of another authority in place, for the device's key."""
    folder = ctx.at(tls.FOLDER)
    ca, request = ctx.root / 'ca', ctx.root / 'request'
    run = lambda *words: subprocess.run(['openssl', *map(str, words)], check=True, capture_output=True)  # noqa: E731
    run('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=CA', '-keyout', ca, '-out', f'{ca}.pem')
    run('req', '-new', '-key', folder / 'key.pem', '-subj', '/CN=gate.example', '-out', request)
    run('x509', '-req', '-in', request, '-CA', f'{ca}.pem', '-CAkey', ca, '-days', days, '-out', folder / 'cert.pem')


def test_one_of_another_authority_is_left_alone(web: Context, nginx: Nginx) -> None:
    tls.make(web)
    signed_elsewhere(web, 60)
    before = files(web)
    assert 'stays' in certificate.renew(web, nginx)
    signed_elsewhere(web, 13)
    before = files(web)
    with pytest.raises(StepError, match='within 14 days'):
        certificate.renew(web, nginx)
    assert files(web) == before and nginx.reloads == 0


def test_without_key(web: Context, nginx: Nginx, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(StepError, match='no key'):
        certificate.renew(web, nginx)
    assert certificate.main(Context(Path('/nowhere'))) == 1
    assert 'unlock' in capsys.readouterr().err


def test_a_new_one_that_is_not_good_does_not_take_its_place(
    web: Context, nginx: Nginx, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_days(web, 20)
    tls.make(web)
    before = files(web)
    with_days(web, 365)
    monkeypatch.setattr(tls, 'issue', lambda ctx, key, place: (b'', before[1]))
    with pytest.raises(StepError, match='the old one stays'):
        certificate.renew(web, nginx)
    assert files(web) == before and nginx.reloads == 0
