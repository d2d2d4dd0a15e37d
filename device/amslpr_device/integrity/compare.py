"""Compares the device with its manifest, going through both in one order, so that it needs little memory.

What the manifest says is moved on by `moved`: {path: line of the manifest, or '' for gone}. A quick look reads only
files whose inode was touched since the image was made, or since they were last found good: the kernel notes that
time, and no program can set it. A whole look reads everything.
"""

from __future__ import annotations

import gzip
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field

from amslpr_device.integrity import names, tree
from amslpr_device.integrity.tree import Entry


@dataclass
class Found:
    """What a look came to. `now` has what is there in place of what should be, '' for nothing."""

    differences: dict[str, str] = field(default_factory=dict)
    now: dict[str, str] = field(default_factory=dict)
    seen: dict[str, str] = field(default_factory=dict)
    looked: int = 0
    read: int = 0
    covered: set[str] = field(default_factory=set)


class NoManifest(Exception):
    """The image has none, or it cannot be read."""


def manifest(root: str) -> Iterator[Entry]:
    """Its entries in order, the time of the image first as an entry of the kind `#`; raises NoManifest."""
    try:
        with gzip.open(os.path.join(root, tree.MANIFEST), 'rt', encoding='ascii') as file:
            first = file.readline().split(' ')
            if first[:3] != ['#', 'made', 'at']:
                raise NoManifest('it does not start as a manifest does')
            yield Entry('', '#', 0, 0, 0, first[3].strip())
            for line in file:
                yield tree.parse(line)
    except (OSError, EOFError, ValueError) as error:
        raise NoManifest(str(error)) from error


def wanted(root: str, moved: dict[str, str]) -> Iterator[Entry]:
    """The manifest as it was moved on, in order."""
    more = iter(sorted((tree.parse(line) for line in moved.values() if line), key=lambda one: tree.order(one.path)))
    extra = next(more, None)
    for one in manifest(root):
        while extra is not None and one.kind != '#' and tree.order(extra.path) <= tree.order(one.path):
            yield extra
            extra = next(more, None)
        if one.path not in moved:
            yield one
    while extra is not None:
        yield extra
        extra = next(more, None)


def look(root: str, moved: dict[str, str], seen: dict[str, str], *, whole: bool = False) -> Found:
    """Compares everything; `seen` is what an earlier look found good, by path."""
    found = Found(covered=covered(root))
    expected = wanted(root, moved)
    built = int(next(expected).sum)
    want = next(expected, None)
    for path, status in tree.walk(root):
        while want is not None and want.path != path and tree.order(want.path) < tree.order(path):
            missing(want, found)
            want = next(expected, None)
        same = want if want is not None and want.path == path else None
        if same is not None:
            want = next(expected, None)
        found.looked += 1
        if same is None:
            if names.ignored(path):
                continue
            found.differences[path] = 'is new'
            found.now[path] = tree.entry(root, path, status).line()
            continue
        one(root, same, status, found, seen, built, whole=whole)
    while want is not None:
        missing(want, found)
        want = next(expected, None)
    return found


def missing(want: Entry, found: Found) -> None:
    """Something is not there, and no other file system lies over it."""
    if not names.ignored(want.path) and want.path not in found.covered:
        found.differences[want.path] = 'is missing'
        found.now[want.path] = ''


def covered(root: str) -> set[str]:
    """Places of encrypted data: what is bound there lies over the folder of the image."""
    try:
        with open(os.path.join(root, 'usr/share/amslpr/data-binds.json')) as file:
            return {str(bind['path']).lstrip('/') for bind in json.load(file)}
    except (OSError, ValueError):
        return set()


def mark(status: os.stat_result) -> str:
    """Changes with every change of an inode."""
    return f'{status.st_ino} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}'


def one(
    root: str,
    want: Entry,
    status: os.stat_result,
    found: Found,
    seen: dict[str, str],
    built: int,
    *,
    whole: bool,
) -> None:
    """Compares one path that is in both."""
    path = want.path
    trusted = status.st_ctime <= built and not path.startswith(f'{tree.BOOT}/')
    kept = (tree.kind_of(status.st_mode), stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)
    if trusted and not whole and kept == want[1:5]:
        return
    known = want.sum if tree.kind_of(status.st_mode) == want.kind == 'f' else ''
    if whole or not (trusted or seen.get(path) == mark(status)):
        known = ''
        found.read += 1
    try:
        now = tree.entry(root, path, status, known)
    except FileNotFoundError:
        missing(want, found)
        return
    if now == want:
        if not trusted:
            found.seen[path] = mark(status)
        return
    if names.ignored(path):
        return
    found.now[path] = now.line()
    words = [
        (now.kind != want.kind, 'is another kind of file'),
        (now.kind == want.kind and now.sum != want.sum, 'leads elsewhere' if now.kind == 'l' else 'has other content'),
        (now.mode != want.mode, f'has mode {now.mode:04o}, not {want.mode:04o}'),
        ((now.uid, now.gid) != (want.uid, want.gid), f'belongs to {now.uid}:{now.gid}, not {want.uid}:{want.gid}'),
    ]
    found.differences[path] = ', '.join(text for wrong, text in words if wrong)
