"""What the bare application lets through, the wrapper stops, and what it should do still works."""

import sqlite3
import stat
import sys
from collections.abc import Callable

import pytest

from installed_site import PASSWORD, Site

Install = Callable[..., Site]
PROXY = {'X-Forwarded-For': '203.0.113.9', 'X-Forwarded-Proto': 'https', 'X-Forwarded-Host': 'device.example'}


def vehicles(site: Site) -> list[str]:
    with sqlite3.connect(site.state / 'data/amslpr.db') as database:
        return [row[0] for row in database.execute('SELECT plate_number FROM vehicles')]


def test_ordinary_use_works(install: Install) -> None:
    site = install(wrapped=True)
    client = site.browser()
    assert site.get(client, '/').status_code == 302
    assert site.get(client, '/health').status_code == 200
    assert site.get(client, '/static/style.css').status_code == 200
    assert site.get(client, '/api/vehicles').status_code == 401
    entered = site.log_in(client)
    assert (entered.status_code, entered.headers['Location']) == (302, '/dashboard')
    assert site.get(client, '/dashboard').status_code == 200
    added = site.post(
        client, '/vehicles/add', {'plate_number': 'AB 12 CD', 'authorized': 'on'}, token_from='/vehicles/'
    )
    assert added.status_code == 302
    assert vehicles(site) == ['AB12CD']


@pytest.mark.parametrize('path', ['/vehicles/', '/dashboard', '/profile', '/no-such-page', '/fail', '/console'])
def test_pages_need_a_log_in(install: Install, path: str) -> None:
    site = install(wrapped=True)
    response = site.get(site.browser(), path)
    assert (response.status_code, response.headers['Location']) == (302, '/login')


@pytest.mark.parametrize('wrapped', [False, True])
def test_adding_a_vehicle_needs_a_log_in(install: Install, wrapped: bool) -> None:
    site = install(wrapped=wrapped)
    response = site.post(site.browser(), '/vehicles/add', {'plate_number': 'EVIL001', 'authorized': 'on'})
    assert response.status_code == (401 if wrapped else 302)
    assert vehicles(site) == ([] if wrapped else ['EVIL001'])


@pytest.mark.parametrize(('path', 'status'), [('/no-such-page', 404), ('/fail', 500)])
def test_errors_show_no_stack(install: Install, path: str, status: int) -> None:
    site = install(wrapped=True)
    client = site.browser()
    site.log_in(client)
    response = site.get(client, path)
    assert response.status_code == status
    assert 'Traceback' not in response.text
    assert 'deliberate' not in response.text


def test_missing_token_is_the_clients_error(install: Install) -> None:
    site = install(wrapped=True)
    response = site.browser().post('/login', base_url=site.base, data={'username': 'admin', 'password': PASSWORD})
    assert response.status_code == 400


@pytest.mark.parametrize('password', ['admin', 'admin123', 'elevenchars'])
def test_weak_passwords_do_not_log_in(install: Install, password: str) -> None:
    site = install(wrapped=True, password=password)
    response = site.log_in(site.browser(), password=password)
    assert response.status_code == 200
    assert 'wrong' in response.text


@pytest.mark.parametrize(
    ('password', 'status'),
    [('short', 400), ('aaaaaaaaaaaaaaaa', 400), ('the-administrator', 400), ('sixteen letters!', 302)],
)
def test_new_passwords_must_be_strong(install: Install, password: str, status: int) -> None:
    site = install(wrapped=True)
    client = site.browser()
    site.log_in(client)
    fields = {'username': 'admin', 'new_password': password}
    assert site.post(client, '/profile/update', fields, token_from='/profile').status_code == status
    assert site.log_in(site.browser()).status_code == (200 if status == 302 else 302)


@pytest.mark.parametrize('target', ['https://evil.example/', '//evil.example/', 'javascript:alert(1)'])
def test_redirects_stay_here(install: Install, target: str) -> None:
    site = install(wrapped=True)
    response = site.log_in(site.browser(), query=f'?next={target}')
    assert response.status_code == 302
    assert response.headers['Location'] == '/'


@pytest.mark.parametrize('target', ['/vehicles/', 'https://device.example/profile'])
def test_redirects_within_the_site_work(install: Install, target: str) -> None:
    site = install(wrapped=True)
    assert site.log_in(site.browser(), query=f'?next={target}').headers['Location'] == target


@pytest.mark.parametrize(
    'location',
    [
        '/\t/evil.example',
        ' //evil.example',
        '/\\evil.example/',
        '\\/evil.example',
        'https:evil.example',
        'https://[',
        'data:x',
    ],
)
def test_browsers_tricks_with_addresses_are_known(install: Install, location: str) -> None:
    install(wrapped=True)
    assert not sys.modules['amslpr_wsgi']._same_site(location, 'device.example')


def test_cookies_are_marked(install: Install) -> None:
    site = install(wrapped=True)
    cookie = site.get(site.browser(), '/login').headers['Set-Cookie']
    assert all(flag in cookie for flag in ('Secure', 'HttpOnly', 'SameSite=Lax'))


def test_pages_are_not_kept_but_static_files_are(install: Install) -> None:
    site = install(wrapped=True)
    assert site.get(site.browser(), '/login').headers['Cache-Control'] == 'no-store'
    assert site.get(site.browser(), '/static/style.css').headers['Cache-Control'] != 'no-store'


def test_failed_log_in_names_the_client(install: Install, caplog: pytest.LogCaptureFixture) -> None:
    site = install(wrapped=True)
    client = site.browser()
    site.post(client, '/login', {'username': 'root\nroot', 'password': 'x'}, headers=PROXY)
    assert "Failed login for 'root\\nroot' from 203.0.113.9" in caplog.text
    assert "Failed login for 'root\\nroot' from 203.0.113.9" in (site.logs / 'amslpr.log').read_text()


def test_accounts_stay_private(install: Install) -> None:
    site = install(wrapped=True)
    site.log_in(site.browser())
    assert stat.S_IMODE((site.state / 'config/users.json').stat().st_mode) == 0o600
    assert stat.S_IMODE((site.state / 'config').stat().st_mode) == 0o700


def test_defaults_are_copied_once(install: Install) -> None:
    site = install(wrapped=True)
    assert (site.state / 'config/ocr_config.json').is_file()


@pytest.mark.parametrize('missing', [{'password': None}, {'key': None}, {'key': 'short'}])
def test_does_not_start_open_to_all(install: Install, missing: dict[str, str | None]) -> None:
    with pytest.raises(SystemExit):
        install(wrapped=True, **missing)
