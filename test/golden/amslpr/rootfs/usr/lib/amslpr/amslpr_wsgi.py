"""The door in front of AMSLPR, for gunicorn: imports the application unchanged and closes what it leaves open.

AMSLPR's pages for vehicles and OCR have no log-in check, errors show stack traces, a new installation has the account
admin/admin, any password is good enough, and `?next=` leads to other sites. None of it is mended in its code, which is
not ours to change: it is caught on the way in and out. Needs FLASK_SECRET_KEY and an existing users.json, since without
them AMSLPR falls back to a published key and a published password.
"""

import contextlib
import importlib
import logging
import logging.handlers
import os
import re
import secrets
import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import amslpr_accounts

HOME = Path(os.environ.get('AMSLPR_HOME', '/opt/amslpr/current'))
STATE = Path(os.environ.get('AMSLPR_DATA_DIR', '/var/lib/amslpr'))
LOGS = Path(os.environ.get('AMSLPR_LOG_DIR', '/var/log/amslpr'))
RUN = Path(os.environ.get('AMSLPR_RUN_DIR', '/run/amslpr'))

MINIMUM_LENGTH = 12
OPEN_PATHS = frozenset({'/', '/login', '/auth/login', '/logout', '/auth/logout', '/health'})
LOGIN_PATHS = frozenset({'/login', '/auth/login'})
ACCOUNT_PATHS = re.compile(r'^/(auth/)?(users|profile)(/|$)')
log = logging.getLogger('amslpr.wrapper')

StartResponse = Callable[..., Any]
Wsgi = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]


def prepare() -> None:
    """Makes the folders that the application expects, and refuses to start in a state in which it is open to all."""
    if len(os.environ.get('FLASK_SECRET_KEY', '')) < 32:
        raise SystemExit('FLASK_SECRET_KEY is missing or shorter than 32 characters: sessions could be forged')
    users = STATE / 'config' / 'users.json'
    if amslpr_accounts.put_back(users):
        log.warning('%s could not be read; the accounts before the last change are back', users)
    if not users.is_file():
        raise SystemExit(f'{users} is missing: the application would make the account admin with a published password')
    with contextlib.suppress(OSError):
        amslpr_accounts.keep(users)
    for folder in ('data', 'data/images', 'config', 'backups', 'flask_session'):
        (STATE / folder).mkdir(mode=0o750, parents=True, exist_ok=True)
    (STATE / 'config').chmod(0o700)
    for default in sorted((HOME / 'defaults').glob('*')):
        if not (STATE / 'config' / default.name).exists():
            shutil.copyfile(default, STATE / 'config' / default.name)
    os.chdir(STATE)
    sys.path.insert(0, str(HOME))
    # Last, so that a real package of the same name wins.
    sys.path.append(str(Path(__file__).parent / 'shims'))


def writes_accounts(environ: dict[str, Any]) -> bool:
    """Whether AMSLPR may write users.json for this request: a log-in notes its time there."""
    path = environ.get('PATH_INFO', '')
    return environ['REQUEST_METHOD'] == 'POST' and (path in LOGIN_PATHS or ACCOUNT_PATHS.match(path) is not None)


def acceptable(password: str, account: str = '') -> bool:
    """Long enough, not one letter over and over, and without the name of its account."""
    if len(password) < MINIMUM_LENGTH or len(set(password)) < 5:
        return False
    return not account or account.lower() not in password.lower()


def guard(app: Any) -> None:
    """Puts the checks in front of every view of the Flask application `app`."""
    from flask import redirect, request, session
    from werkzeug.datastructures import ImmutableMultiDict
    from werkzeug.exceptions import HTTPException

    app.debug = False
    app.config.update(
        DEBUG=False,
        TESTING=False,
        PROPAGATE_EXCEPTIONS=False,
        SESSION_COOKIE_SECURE=True,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE='Lax',
    )

    def gate() -> Any:
        if request.method == 'POST' and request.path in LOGIN_PATHS:
            _spoil_weak_login()
            return None
        if request.path in OPEN_PATHS or request.endpoint == 'static' or request.path.startswith('/api/'):
            return None
        if 'username' in session:
            return _refuse_weak_password()
        if request.method in ('GET', 'HEAD'):
            return redirect('/login')
        return _plain('Log in first.', 401)

    def _spoil_weak_login() -> None:
        # The application itself then answers as to any wrong password, with its page, its log line and its token check.
        if not acceptable(request.form.get('password', '')):
            fields = {**request.form.to_dict(), 'password': secrets.token_hex(32)}
            request.__dict__['form'] = ImmutableMultiDict(fields)

    def _refuse_weak_password() -> Any:
        if request.method != 'POST' or not ACCOUNT_PATHS.match(request.path):
            return None
        account = request.form.get('username', '')
        for field in ('password', 'new_password'):
            chosen = request.form.get(field, '')
            if chosen and not acceptable(chosen, account):
                return _plain(
                    f'The password needs {MINIMUM_LENGTH} characters or more, of five kinds at least, '
                    'and must not hold the name of the account.',
                    400,
                )
        return None

    def after_login(response: Any) -> Any:
        if request.method != 'POST' or request.path not in LOGIN_PATHS:
            return response
        # The application makes this file writable for everybody each time somebody logs in.
        users = STATE / 'config' / 'users.json'
        if users.is_file() and users.stat().st_mode & 0o077:
            users.chmod(0o600)
        if response.status_code not in (301, 302, 303):
            name = request.form.get('username', '')[:64]
            log.warning('Failed login for %r from %s', name, request.remote_addr)
        return response

    def failed(error: Exception) -> Any:
        if isinstance(error, HTTPException):
            return error
        log.exception('%s %r failed', request.method, request.path)
        return _plain('The application met an error. It is in the log.', 500)

    def _plain(text: str, status: int) -> Any:
        return app.response_class(f'{text}\n', status=status, mimetype='text/plain')

    app.before_request_funcs.setdefault(None, []).insert(0, gate)
    # Flask runs these last to first: this one sees what all others made of the response.
    app.after_request_funcs.setdefault(None, []).insert(0, after_login)
    # The handlers for every kind of exception are the ones that show stack traces.
    for handlers in app.error_handler_spec.values():
        for by_class in handlers.values():
            by_class.pop(Exception, None)
    app.error_handler_spec[None][None][Exception] = failed


def responses(inner: Wsgi) -> Wsgi:
    """Mends headers on the way out: cookie flags, redirects to other sites, and pages that browsers must not keep."""

    def application(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        host = environ.get('HTTP_HOST', '')
        keeps = environ.get('PATH_INFO', '').startswith('/static/')

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            mended = [_mend(name, value, host) for name, value in headers]
            if not keeps and not any(name.lower() == 'cache-control' for name, _ in mended):
                mended.append(('Cache-Control', 'no-store'))
            return start_response(status, mended, *rest)

        return inner(environ, start)

    return application


def _mend(name: str, value: str, host: str) -> tuple[str, str]:
    if name.lower() == 'set-cookie':
        present = {part.strip().split('=')[0].lower() for part in value.split(';')[1:]}
        for flag in ('Secure', 'HttpOnly', 'SameSite=Lax'):
            if flag.split('=')[0].lower() not in present:
                value += f'; {flag}'
    elif name.lower() == 'location' and not _same_site(value, host):
        log.warning('A redirect to another site was stopped: %r', value[:200])
        value = '/'
    return name, value


def _same_site(location: str, host: str) -> bool:
    # Browsers read a backslash as a slash and skip control characters.
    cleaned = re.sub(r'[\x00-\x20]', '', location).replace('\\', '/')
    try:
        parts = urlsplit(cleaned)
    except ValueError:
        return False
    if parts.scheme not in ('', 'http', 'https'):
        return False
    if not parts.netloc:
        return not parts.scheme and not cleaned.startswith('//')
    return parts.netloc == host


def log_to_file() -> None:
    """Gives the log page of AMSLPR the file that it shows and that nothing of AMSLPR writes."""
    if not LOGS.is_dir():
        return
    handler = logging.handlers.RotatingFileHandler(LOGS / 'amslpr.log', maxBytes=1_000_000, backupCount=5)
    handler.setFormatter(logging.Formatter('%(asctime)s %(levelname)s %(name)s %(message)s'))
    # Below this, AMSLPR logs its whole configuration with passwords, and camera addresses with theirs.
    handler.setLevel(logging.WARNING)
    logging.getLogger().addHandler(handler)


def load() -> Wsgi:
    """The guarded application. Done here and not on import, so that tests can choose the folders first."""
    from werkzeug.middleware.proxy_fix import ProxyFix

    prepare()
    app = importlib.import_module('src.web.app').app
    logging.getLogger().setLevel(logging.INFO)
    log_to_file()
    guard(app)
    users = STATE / 'config' / 'users.json'
    guarded = amslpr_accounts.kept(app.wsgi_app, users, writes_accounts, RUN / 'users.json')
    # Inside out: nginx sets the X-Forwarded headers, exactly one of each.
    app.wsgi_app = ProxyFix(responses(guarded), x_for=1, x_proto=1, x_host=1)
    return app


if 'gunicorn' in sys.modules:
    application = load()
