"""Files below /boot, /etc, /opt and /usr in one order, each as a line: the manifest of an image is made of it.

Used in two places: the build runs this file on the finished tree (`main`), the device walks its own. A line is kind (f,
d, l, or o for what is none of them), mode, uid, gid, SHA-256 or target, path. Standard library only.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import stat
import sys
from collections.abc import Iterator
from typing import NamedTuple

ROOTS = ('boot', 'etc', 'opt', 'usr')
# A file system without modes and owners, whose times can be set at will.
BOOT = 'boot/firmware'
MANIFEST = 'usr/share/amslpr/manifest.gz'


class Entry(NamedTuple):
    """One path, without a leading slash. `sum` is empty for a folder."""

    path: str
    kind: str
    mode: int
    uid: int
    gid: int
    sum: str = ''

    def line(self) -> str:
        """As the manifest has it."""
        found = '\\x2d' if self.sum == '-' else escape(self.sum) or '-'
        return f'{self.kind} {self.mode:o} {self.uid} {self.gid} {found} {escape(self.path)}'


def escape(text: str) -> str:
    """Any name as one word of ASCII."""
    return ''.join(
        char if '!' <= char <= '~' and char != '\\' else ''.join(f'\\x{byte:02x}' for byte in os.fsencode(char))
        for char in text
    )


def unescape(text: str) -> str:
    """The name again."""
    if '\\' not in text:
        return text
    first, *rest = text.split('\\x')
    return os.fsdecode(first.encode() + b''.join(bytes([int(one[:2], 16)]) + one[2:].encode() for one in rest))


def parse(line: str) -> Entry:
    """A line of the manifest; raises ValueError."""
    kind, mode, uid, gid, found, path = line.rstrip('\n').split(' ')
    return Entry(unescape(path), kind, int(mode, 8), int(uid), int(gid), '' if found == '-' else unescape(found))


def order(path: str) -> tuple[str, ...]:
    """Sorts paths as `walk` gives them: a folder, then what is in it."""
    return tuple(path.split('/'))


def kind_of(mode: int) -> str:
    """One letter."""
    return 'f' if stat.S_ISREG(mode) else 'd' if stat.S_ISDIR(mode) else 'l' if stat.S_ISLNK(mode) else 'o'


def walk(root: str) -> Iterator[tuple[str, os.stat_result]]:
    """Paths and what lstat says, in the order of the manifest; nothing of other file systems but the boot partition."""
    device = os.lstat(root).st_dev

    def below(path: str, device: int) -> Iterator[tuple[str, os.stat_result]]:
        for name in sorted(os.listdir(os.path.join(root, path))):
            inner = f'{path}/{name}'
            try:
                found = os.lstat(os.path.join(root, inner))
            except FileNotFoundError:
                continue
            if found.st_dev != device and inner != BOOT:
                continue
            yield inner, found
            if stat.S_ISDIR(found.st_mode):
                yield from below(inner, found.st_dev)

    for top in ROOTS:
        if os.path.isdir(os.path.join(root, top)):
            found = os.lstat(os.path.join(root, top))
            yield top, found
            yield from below(top, device)


def digest(path: str) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest() if hasattr(hashlib, 'file_digest') else _digest(file)


def _digest(file: object) -> str:
    found = hashlib.sha256()
    while chunk := file.read(1 << 20):  # type: ignore[attr-defined]
        found.update(chunk)
    return found.hexdigest()


def entry(root: str, path: str, found: os.stat_result, known: str = '') -> Entry:
    """The whole line of a path; `known` is its checksum when somebody took it already."""
    kind = kind_of(found.st_mode)
    full = os.path.join(root, path)
    text = (known or digest(full)) if kind == 'f' else os.readlink(full) if kind == 'l' else ''
    if path == BOOT or path.startswith(f'{BOOT}/'):
        return Entry(path, kind, 0, 0, 0, text)
    return Entry(path, kind, stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid, text)


def main(root: str, upper: str, epoch: str, sums: bytes) -> None:
    """Writes the manifest of an image into it. `sums` has those of the layers below, lowest first: `SUM  ./PATH\\0`.

    `upper` is what lies above them: a file of it is hashed, and so is any that has no sum.
    """
    known: dict[str, str] = {}
    for record in sums.split(b'\0'):
        found, _, path = record.partition(b'  ./')
        if path:
            known[os.fsdecode(path)] = found.decode()
    lines = [f'# made at {int(epoch)}']
    for path, found in walk(root):
        if path == MANIFEST:
            continue
        above = os.path.lexists(os.path.join(upper, path))
        lines.append(entry(root, path, found, '' if above else known.get(path, '')).line())
    with (
        open(os.path.join(root, MANIFEST), 'wb') as file,
        gzip.GzipFile('', 'wb', 9, file, mtime=0) as packed,
    ):
        packed.write(('\n'.join(lines) + '\n').encode('ascii'))
    os.chmod(os.path.join(root, MANIFEST), 0o600)


if __name__ == '__main__':
    main(sys.argv[1], sys.argv[2], sys.argv[3], sys.stdin.buffer.read())
