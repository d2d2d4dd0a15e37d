"""Reads a tar or zip archive for src/plan/source-archive.ts, which judges what is in it. Writes nothing to the disk.

`archive.py list ARCHIVE ENTRIES BYTES` prints its entries as JSON, or why there are none: `{"problem": …}`.
`archive.py read ARCHIVE` takes names of files as JSON and gives each, in the order of the archive, behind a line of
JSON with its name and size.
"""

from __future__ import annotations

import json
import lzma
import re
import resource
import stat
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any

BROKEN = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError),
    *(EOFError, OSError, RuntimeError, ValueError, MemoryError),
)
BLOCK = 1 << 20
LONGEST_TARGET = 4096
# A header may say that gigabytes of names follow.
MEMORY = 2 << 30
# What follows a tar's end is padding.
PADDING = 16 * BLOCK

Opener = Callable[[], Any]


@contextmanager
def plain(path: str) -> Iterator[IO[bytes]]:
    """The bytes of an archive, without zstd around them, which Python's tarfile does not know yet."""
    if not re.search(r'\.t(ar\.)?zst$', path, re.I):
        with open(path, 'rb') as file:
            yield file
        return
    with subprocess.Popen(['zstd', '-dcq', '--', path], stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        try:
            yield program.stdout
            left = PADDING
            while left > 0 and (block := program.stdout.read(BLOCK)):
                left -= len(block)
            if left > 0 and program.wait() != 0:
                raise ValueError('zstd found it damaged')
        finally:
            program.kill()


def in_tar(path: str) -> Iterator[tuple[dict[str, Any], Opener]]:
    """Each entry, and how its bytes are opened before the next one is asked for."""
    with plain(path) as stream, tarfile.open(fileobj=stream, mode='r|*') as tar:
        for member in tar:
            kinds = {
                'file': member.isreg(),
                'folder': member.isdir(),
                'link': member.issym(),
                'hard link': member.islnk(),
            }
            kind = next((name for name, is_it in kinds.items() if is_it), 'other')
            entry = {'name': member.name, 'kind': kind, 'size': member.size, 'target': member.linkname}
            yield entry, lambda member=member: tar.extractfile(member)


def in_zip(path: str) -> Iterator[tuple[dict[str, Any], Opener]]:
    """The same for a zip archive, whose list of files lies at its end."""
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            form = stat.S_IFMT(info.external_attr >> 16) if info.create_system == 3 else 0
            kinds = {0: 'file', stat.S_IFREG: 'file', stat.S_IFDIR: 'folder', stat.S_IFLNK: 'link'}
            kind = 'folder' if info.is_dir() else kinds.get(form, 'other')
            target = ''
            if info.flag_bits & 1:
                kind = 'encrypted'
            elif kind == 'link':
                if info.file_size > LONGEST_TARGET:
                    kind = 'other'
                else:
                    target = archive.read(info).decode()
            entry = {'name': info.filename, 'kind': kind, 'size': info.file_size, 'target': target}
            yield entry, lambda info=info: archive.open(info)


def entries(path: str) -> Iterator[tuple[dict[str, Any], Opener]]:
    """The entries of an archive, by its name."""
    return in_zip(path) if path.lower().endswith('.zip') else in_tar(path)


def listed(path: str, most: int, room: int) -> dict[str, Any]:
    """All entries, as long as they are as few and as small as they may be."""
    found = []
    for entry, _ in entries(path):
        room -= entry['size']
        if len(found) >= most:
            return {'problem': f'it has more than {most} entries'}
        if room < 0:
            return {'problem': 'what is in it is too large'}
        found.append(entry)
    return {'entries': found}


def main() -> int:
    """Returns the exit code: 0 well, 1 with what is wrong on standard error."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    verb, path, *limits = sys.argv[1:]
    try:
        if verb == 'list':
            print(json.dumps(listed(path, *map(int, limits))))
            return 0
        wanted = set(json.load(sys.stdin))
        out = sys.stdout.buffer
        for entry, opened in entries(path):
            if entry['name'] not in wanted:
                continue
            out.write(json.dumps({'name': entry['name'], 'size': entry['size']}).encode() + b'\n')
            with opened() as source:
                left = entry['size']
                while block := source.read(min(left, BLOCK)):
                    out.write(block)
                    left -= len(block)
            if left:
                raise ValueError(f'{entry["name"]} is shorter than it says')
        out.flush()
    except BROKEN as error:
        why = str(error) or type(error).__name__
        if verb == 'list':
            print(json.dumps({'problem': f'it cannot be read: {why}'}))
            return 0
        print(why, file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
