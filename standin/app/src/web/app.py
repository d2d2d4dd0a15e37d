"""The web application: `src.web.app:app`. What is marked as a fault is one of AMSLPR that the image has to close."""

import json
import logging
import os
import secrets
import traceback
from pathlib import Path
from typing import Any

from flask import Flask, Response, abort, jsonify, redirect, render_template, request, session

from src.database import db_manager
from src.utils import paths, security, users
from src.web.sessions import FileSessions

logging.basicConfig(level=logging.DEBUG)
log = logging.getLogger('AMSLPR.web')

HEADERS = {
    'X-Content-Type-Options': 'nosniff',
    'X-Frame-Options': 'SAMEORIGIN',
    'X-XSS-Protection': '1; mode=block',
    'Strict-Transport-Security': 'max-age=31536000; includeSubDomains',
    'Content-Security-Policy': "default-src 'self'; img-src 'self' data:",
}


def create_app() -> Flask:
    """The application with everything on disk that it needs."""
    config: dict[str, Any] = json.loads(paths.CONFIG.read_text())
    app = Flask(__name__)
    # Fault: a published key when none is given.
    app.secret_key = os.environ.get('FLASK_SECRET_KEY', 'your-secret-key-here')
    try:
        app.session_interface = FileSessions(Path.cwd() / 'flask_session')
    except OSError as error:
        # Fault: sessions that whoever knows the key can forge, instead of none.
        log.error('Failed to initialize filesystem session: %s', error)
    for prepare in (db_manager.create, security.fernet, users.load, lambda: paths.BACKUPS.mkdir(exist_ok=True)):
        prepare()
    _pages(app)
    _api(app)
    if config.get('security', {}).get('send_headers'):
        app.after_request(_with_headers)

    @app.errorhandler(Exception)
    def _trace(error: Exception) -> tuple[str, int]:
        # Fault: every error, a missing page too, is a 500 with the stack.
        return f'<pre>{traceback.format_exc()}</pre>', 500

    @app.context_processor
    def _token() -> dict[str, str]:
        return {'csrf_token': session.setdefault('csrf_token', secrets.token_urlsafe(32))}

    return app


def _with_headers(response: Response) -> Response:
    response.headers.update(HEADERS)
    return response


def _check_token() -> None:
    if not secrets.compare_digest(session.get('csrf_token', secrets.token_hex(8)), request.form.get('csrf_token', '')):
        abort(400, 'The form has expired: open the page again.')


def _pages(app: Flask) -> None:
    @app.get('/')
    def _root() -> Any:
        return redirect('/dashboard' if 'username' in session else '/login')

    @app.route('/login', methods=['GET', 'POST'])
    def _login() -> Any:
        if request.method == 'GET':
            return render_template('login.html', wrong=False)
        _check_token()
        permissions = users.log_in(request.form['username'], request.form['password'])
        if permissions is None:
            return render_template('login.html', wrong=True)
        session['username'] = request.form['username']
        session['permissions'] = permissions
        # Fault: leads wherever the address says.
        return redirect(request.args.get('next') or '/dashboard')

    @app.get('/logout')
    def _logout() -> Any:
        session.clear()
        return redirect('/login')

    @app.get('/dashboard')
    def _dashboard() -> Any:
        if 'username' not in session:
            return redirect('/login')
        return render_template('dashboard.html', vehicles=db_manager.vehicles())

    @app.get('/vehicles/')
    def _vehicles() -> Any:
        # Fault: no log-in needed, here and to add one.
        return render_template('vehicles.html', vehicles=db_manager.vehicles())

    @app.post('/vehicles/add')
    def _add_vehicle() -> Any:
        _check_token()
        plate = request.form['plate_number'].upper().replace(' ', '')
        db_manager.add_vehicle(plate, request.form.get('description', ''), 'authorized' in request.form)
        return redirect('/vehicles/')

    @app.get('/profile')
    def _profile() -> Any:
        if 'username' not in session:
            return redirect('/login')
        return render_template('profile.html')

    @app.post('/profile/update')
    def _change_password() -> Any:
        if 'username' not in session:
            return redirect('/login')
        _check_token()
        users.set_password(session['username'], request.form['new_password'])
        return redirect('/profile')

    @app.get('/fail')
    def _fail() -> Any:
        raise RuntimeError('a deliberate error')


def _api(app: Flask) -> None:
    @app.get('/health')
    def _health() -> Any:
        return jsonify(status='healthy')

    @app.get('/api/vehicles')
    def _api_vehicles() -> Any:
        if not db_manager.known_api_key(request.headers.get('X-API-Key', '')):
            return jsonify(error='Invalid API key'), 401
        return jsonify(vehicles=db_manager.vehicles())


app = create_app()
