"""Keeps the accounts when AMSLPR cannot write them.

AMSLPR writes users.json anew at every log-in, in place: with a full disk, or when it is stopped in the middle, that
leaves half a file or an empty one, and nobody can log in. So what is there is copied beside before each such request,
and put back when the file cannot be read after it. When there is hardly any room the file is in memory during the
request, and what became of it is written into the space that it has on the disk.
"""

import contextlib
import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
# The copy, and the file itself while it is in memory.
LAST, LENT = 'users.json.last', 'users.json.lent'
SCARCE = 1 << 20
FULL = b'The data partition has no room for this. Remove recordings or backups, then try again.\n'


class NoRoomError(OSError):
    """What was to be written is longer than the space that the file has."""


def readable(path: Path) -> bool:
    """Whether `path` holds accounts, at least one."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and bool(found.get('users'))


def put(path: Path, wanted: bytes) -> None:
    """Writes `path` to the disk, in the space that it has."""
    with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), 'r+b') as file:
        file.write(wanted)
        file.truncate()
        file.flush()
        os.fsync(file.fileno())


def keep(users: Path) -> None:
    """Copies good accounts beside, in the space that the last copy had; raises OSError when it is full."""
    if not readable(users):
        return
    wanted, last = users.read_bytes(), users.with_name(LAST)
    if not last.exists() or last.read_bytes() != wanted:
        put(last, wanted)


def put_back(users: Path) -> bool:
    """Puts the newest good accounts in the place of ones that cannot be read; says whether it did."""
    # A link is what a stop in the middle of `lent` leaves.
    if readable(users) and not users.is_symlink():
        return False
    for kept_one in (users.with_name(LENT), users.with_name(LAST)):
        if readable(kept_one):
            # No copy: there may be no room for one.
            kept_one.replace(users)
            return True
    return False


@contextlib.contextmanager
def lent(users: Path, memory: Path) -> Iterator[None]:
    """Has `users` lead to the file `memory` meanwhile; raises NoRoomError when it grew out of its space."""
    own = users.with_name(LENT)
    memory.write_bytes(users.read_bytes())
    memory.chmod(0o600)
    users.rename(own)
    try:
        users.symlink_to(memory)
        yield
        wanted = memory.read_bytes() if readable(memory) else own.read_bytes()
        if len(wanted) > own.stat().st_blocks * 512:
            raise NoRoomError
        if wanted != own.read_bytes():
            put(own, wanted)
    finally:
        own.replace(users)
        memory.unlink()


def scarce(folder: Path) -> bool:
    """Whether the file system has hardly any room for accounts other than root."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize < SCARCE


def kept(inner: Wsgi, users: Path, writes: Callable[[dict[str, Any]], bool], memory: Path) -> Wsgi:
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
            lending = lent(users, memory) if scarce(users.parent) and readable(users) else contextlib.nullcontext()
            try:
                with lending:
                    # Said only when the accounts are there still: a log-in that could not be written is none.
                    body = inner(environ, lambda *words: said.extend(words))
            except NoRoomError:
                return full(start_response)
            finally:
                lost = put_back(users)
            if lost:
                getattr(body, 'close', str)()
                return full(start_response)
            start_response(*said)
            return body

    return application
