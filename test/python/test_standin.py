"""The stand-in has AMSLPR's layout, routes and faults: without the faults it would prove nothing about the wrapper."""

import json
import re
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from installed_site import PASSWORD, Site

TABLES = {'vehicles', 'access_logs', 'parking_sessions', 'cameras', 'payment_transactions', 'events', 'api_keys'}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_makes_what_amslpr_makes(install: Callable[..., Site]) -> None:
    site = install(wrapped=False)
    with sqlite3.connect(site.state / 'data/amslpr.db') as database:
        names = {row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert names == TABLES
    assert mode(site.state / 'data/amslpr.db') == 0o640
    assert mode(site.state / 'config/crypto.key') == 0o600
    assert (site.state / 'flask_session').is_dir()
    assert (site.state / 'backups').is_dir()


def test_routes(install: Callable[..., Site]) -> None:
    site = install(wrapped=False)
    client = site.browser()
    assert site.get(client, '/').status_code == 302
    assert site.get(client, '/login').status_code == 200
    assert site.get(client, '/dashboard').status_code == 302
    assert site.get(client, '/health').json == {'status': 'healthy'}
    assert site.get(client, '/static/style.css').status_code == 200
    assert site.get(client, '/api/vehicles').status_code == 401
    assert site.log_in(client, password='wrong').status_code == 200
    assert site.log_in(client).status_code == 302
    assert site.get(client, '/dashboard').status_code == 200
    assert site.get(client, '/vehicles/').status_code == 200


def test_faults(install: Callable[..., Site], caplog: pytest.LogCaptureFixture) -> None:
    site = install(wrapped=False, password=None, key=None)
    assert site.app.secret_key == 'your-secret-key-here'
    client = site.browser()
    added = site.post(client, '/vehicles/add', {'plate_number': 'EVIL001', 'authorized': 'on'})
    assert added.status_code == 302
    assert 'EVIL001' in site.get(client, '/vehicles/').text
    missing = site.get(client, '/no-such-page')
    assert missing.status_code == 500
    assert 'Traceback' in missing.text
    site.log_in(client, password='nonsense')
    assert 'Failed login attempt for user admin' in caplog.text
    assert '127.0.0.1' not in caplog.text
    entered = site.log_in(client, password='admin', query='?next=https://evil.example/')
    assert entered.headers['Location'] == 'https://evil.example/'
    assert mode(site.state / 'config/users.json') == 0o666
    assert site.post(client, '/profile/update', {'new_password': 'x'}, token_from='/profile').status_code == 302


@pytest.mark.parametrize('headers', [False, True])
def test_security_headers_of_both_versions(install: Callable[..., Site], headers: bool) -> None:
    response = install(wrapped=False, headers=headers).browser().get('/login')
    assert ('Strict-Transport-Security' in response.headers) is headers
    assert ('Content-Security-Policy' in response.headers) is headers


def test_api_key(install: Callable[..., Site]) -> None:
    site = install(wrapped=False)
    with sqlite3.connect(site.state / 'data/amslpr.db') as database:
        digest = '2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683'
        database.execute('INSERT INTO api_keys (name, key_hash, created_at) VALUES (?, ?, ?)', ('test', digest, ''))
    assert site.browser().get('/api/vehicles', headers={'X-API-Key': 'key'}).json == {'vehicles': []}
    assert site.browser().get('/api/vehicles', headers={'X-API-Key': 'other'}).status_code == 401


def test_users_file_keeps_its_schema(install: Callable[..., Site]) -> None:
    site = install(wrapped=False)
    site.log_in(site.browser(), password=PASSWORD)
    user = json.loads((site.state / 'config/users.json').read_text())['users']['admin']
    assert set(user) == {'password_hash', 'salt', 'role', 'name', 'email', 'created_at', 'last_login'}
    assert re.fullmatch('[0-9a-f]{64}', user['password_hash'])
    assert user['last_login']
