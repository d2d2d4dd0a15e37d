"""Sessions as files below flask_session in the working directory, as AMSLPR keeps them."""

import hashlib
import json
import secrets
from pathlib import Path
from typing import Any

from flask import Flask, Request, Response
from flask.sessions import SessionInterface, SessionMixin
from werkzeug.datastructures import CallbackDict

MOST = 500


class FileSession(CallbackDict[str, Any], SessionMixin):  # pyright: ignore[reportIncompatibleMethodOverride]
    """One visitor's values; `sid` is the cookie."""

    def __init__(self, initial: dict[str, Any], sid: str, new: bool) -> None:
        super().__init__(initial, on_update=lambda session: setattr(session, 'modified', True))
        self.sid = sid
        self.new = new
        self.modified = False


class FileSessions(SessionInterface):
    """Reads and writes sessions in `folder`, which is made, mode 700; fails when it cannot be."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        self.folder = folder

    def _path(self, sid: str) -> Path:
        return self.folder / hashlib.sha256(sid.encode()).hexdigest()

    def open_session(self, app: Flask, request: Request) -> FileSession:
        sid = request.cookies.get(self.get_cookie_name(app), '')
        path = self._path(sid)
        if sid and path.is_file():
            return FileSession(json.loads(path.read_text()), sid, new=False)
        return FileSession({}, secrets.token_urlsafe(32), new=True)

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        assert isinstance(session, FileSession)
        if not session.modified:
            return
        path = self._path(session.sid)
        if session.new:
            self._forget_oldest()
        path.touch(mode=0o600)
        path.write_text(json.dumps(dict(session)))
        response.set_cookie(
            self.get_cookie_name(app),
            session.sid,
            httponly=self.get_cookie_httponly(app),
            secure=self.get_cookie_secure(app),
            samesite=self.get_cookie_samesite(app),
        )

    def _forget_oldest(self) -> None:
        # Everybody who opens the log-in page gets a session.
        files = sorted(self.folder.iterdir(), key=lambda path: path.stat().st_mtime)
        for path in files[: max(0, len(files) - MOST)]:
            path.unlink(missing_ok=True)
