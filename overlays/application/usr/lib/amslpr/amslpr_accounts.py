"""Keeps the accounts when AMSLPR cannot write them.

AMSLPR writes users.json anew at every log-in, in place: with a full disk, or when it is stopped in the middle, that
leaves half a file or an empty one, and nobody can log in. So what is there is copied beside before each such request,
and put back when the file cannot be read after it.
"""

import json
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
LAST = 'users.json.last'
FULL = b'The data partition has no room for this. Remove recordings or backups, then try again.\n'


def readable(path: Path) -> bool:
    """Whether `path` holds accounts, at least one."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and bool(found.get('users'))


def keep(users: Path) -> None:
    """Copies good accounts beside, to the disk, in the space that the last copy had; raises OSError when it is full."""
    if not readable(users):
        return
    wanted = users.read_bytes()
    last = os.open(users.with_name(LAST), os.O_RDWR | os.O_CREAT, 0o600)
    with open(last, 'r+b') as file:
        if file.read() == wanted:
            return
        file.seek(0)
        file.write(wanted)
        file.truncate()
        file.flush()
        os.fsync(file.fileno())


def put_back(users: Path) -> bool:
    """Puts the last good accounts in the place of ones that cannot be read; says whether it did."""
    last = users.with_name(LAST)
    if readable(users) or not readable(last):
        return False
    # No copy: there may be no room for one.
    last.replace(users)
    return True


def kept(inner: Wsgi, users: Path, writes: Callable[[dict[str, Any]], bool]) -> Wsgi:
    """`inner`, with one request at a time of those that may write `users`; 507 when there is no room for it."""
    one = threading.Lock()

    def full(start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response('507 Insufficient Storage', [('Content-Type', 'text/plain; charset=utf-8')])
        return [FULL]

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if not writes(environ):
            return inner(environ, start_response)
        with one:
            try:
                keep(users)
            except OSError:
                return full(start_response)
            said: list[Any] = []
            try:
                # Said only when the accounts are there still: a log-in that could not be written is none.
                body = inner(environ, lambda *words: said.extend(words))
            finally:
                lost = put_back(users)
            if lost:
                getattr(body, 'close', str)()
                return full(start_response)
            start_response(*said)
            return body

    return application
