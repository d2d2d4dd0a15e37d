"""Lays the stand-in application out as an image does, and loads it bare or behind the wrapper."""

import importlib
import json
import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from amslpr_device.passwords import web_record
from amslpr_device.steps.secrets import accounts

PROJECT = Path(__file__).parents[2]
WRAPPER = PROJECT / 'overlays/application/usr/lib/amslpr'
PASSWORD = 'correct horse battery'


def token_of(response: TestResponse) -> str:
    """The value of the hidden field csrf_token of a page."""
    return response.text.split('name="csrf_token" value="')[1].split('"')[0]


@dataclass
class Site:
    """An installed application. `base` is the address that a browser uses."""

    app: Any
    state: Path
    logs: Path
    base: str

    def browser(self) -> Client:
        return Client(self.app)

    def get(self, client: Client, path: str, **more: Any) -> TestResponse:
        return client.get(path, base_url=self.base, **more)

    def post(
        self, client: Client, path: str, data: dict[str, str], token_from: str = '/login', **more: Any
    ) -> TestResponse:
        token = token_of(self.get(client, token_from))
        return client.post(path, base_url=self.base, data={'csrf_token': token, **data}, **more)

    def log_in(self, client: Client, name: str = 'admin', password: str = PASSWORD, query: str = '') -> TestResponse:
        return self.post(client, f'/login{query}', {'username': name, 'password': password})


def users_file(password: str) -> str:
    """users.json with one administrator, as the first boot writes it: by its own functions."""
    return accounts(web_record(password))


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Site]]:
    """Installs and loads: install(wrapped=…, password=…, headers=…); password None leaves users.json out."""
    handlers = list(logging.getLogger().handlers)
    paths = list(sys.path)
    home, state, logs = tmp_path / 'release', tmp_path / 'state', tmp_path / 'log'

    def make(wrapped: bool, password: str | None = PASSWORD, headers: bool = False, key: str | None = 'k' * 32) -> Site:
        shutil.copytree(PROJECT / 'standin/app', home, ignore=shutil.ignore_patterns('__pycache__', 'config'))
        shutil.copytree(PROJECT / 'standin/app/config', home / 'defaults')
        for folder in ('data', 'config', 'backups'):
            (state / folder).mkdir(parents=True)
            (home / folder).symlink_to(state / folder)
        logs.mkdir()
        config = json.loads((home / 'config.json').read_text())
        config['security']['send_headers'] = headers
        (home / 'config.json').write_text(json.dumps(config))
        if password is not None:
            (state / 'config/users.json').write_text(users_file(password))
        folders = {'HOME': home, 'DATA_DIR': state, 'LOG_DIR': logs, 'RUN_DIR': tmp_path}
        for name, value in folders.items():
            monkeypatch.setenv(f'AMSLPR_{name}', str(value))
        monkeypatch.delenv('FLASK_SECRET_KEY', raising=False)
        if key is not None:
            monkeypatch.setenv('FLASK_SECRET_KEY', key)
        monkeypatch.chdir(state)
        forget()
        if wrapped:
            monkeypatch.syspath_prepend(str(WRAPPER))
            app = importlib.import_module('amslpr_wsgi').load()
        else:
            monkeypatch.syspath_prepend(str(home))
            app = importlib.import_module('src.web.app').app
        return Site(app, state, logs, 'https://device.example')

    before = os.umask(0o027)
    yield make
    os.umask(before)
    forget()
    logging.getLogger().handlers[:] = handlers
    sys.path[:] = paths


def forget() -> None:
    """Unloads the application, so that the next test gets one of its own."""
    for name in [name for name in sys.modules if name == 'amslpr_wsgi' or name.split('.')[0] == 'src']:
        del sys.modules[name]
