"""An archive that leaves by standard output while it is made: nothing of it is ever written to the card.

Members are read in parts of 4 MiB, so that a journal of any length needs no more memory than that. The last member,
SHA256SUMS, has the digest of every other one; the digest of the whole stream is known when it has ended.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import IO, Protocol

from amslpr_device.backup_archive import count_stanzas
from amslpr_device.context import Context, StepError

PART = 4 << 20


class Writer(Protocol):
    """What takes bytes."""

    def write(self, data: bytes, /) -> object: ...


class Counted:
    """Passes on, and knows digest and size of what passed."""

    def __init__(self, target: Writer) -> None:
        self.target = target
        self.digest = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        self.target.write(data)
        self.digest.update(data)
        self.size += len(data)
        return len(data)


class Archive:
    """A tar that is being written."""

    def __init__(self, target: Writer) -> None:
        # Open until `close`: what goes in comes over time.
        self.tar = tarfile.TarFile.open(fileobj=target, mode='w|', format=tarfile.GNU_FORMAT)  # type: ignore[call-overload]
        self.sums: list[str] = []

    def add(self, name: str, data: bytes) -> None:
        """A member as it is."""
        info = tarfile.TarInfo(name)
        info.size, info.mode, info.mtime = len(data), 0o400, int(time.time())
        self.tar.addfile(info, io.BytesIO(data))
        self.sums.append(f'{hashlib.sha256(data).hexdigest()}  {name}\n')

    def add_parts(self, name: str, chunks: Iterable[bytes]) -> None:
        """A member of unknown length: `name`, or `name.000`, `name.001` and so on when it is longer than a part."""
        buffer, number = bytearray(), 0
        for chunk in chunks:
            buffer += chunk
            while len(buffer) > PART:
                self.add(f'{name}.{number:03}', bytes(buffer[:PART]))
                del buffer[:PART]
                number += 1
        self.add(f'{name}.{number:03}' if number else name, bytes(buffer))

    def close(self) -> None:
        """The sums, and the end."""
        text = ''.join(self.sums).encode()
        self.add('SHA256SUMS', text)
        self.tar.close()


def check_recipients(ctx: Context, recipients: list[str]) -> list[str]:
    """The arguments for age; raises StepError when age would leave somebody out."""
    arguments = [part for one in recipients for part in ('-r', one)]
    tried = ctx.run(['age', *arguments], give=b'')
    if (stanzas := count_stanzas(io.BytesIO(tried))) != len(recipients):
        raise StepError(f'age uses {stanzas} of {len(recipients)} keys', 'mark that admin `recovery: false`')
    return arguments


@contextmanager
def encrypted(arguments: list[str], target: Writer) -> Iterator[Writer]:
    """What is written goes through age to the target; raises StepError when age fails."""
    age = subprocess.Popen(['age', *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert age.stdin is not None and age.stdout is not None and age.stderr is not None
    failures: list[OSError] = []
    pump = threading.Thread(target=pass_on, args=(age.stdout, target, failures.append))
    pump.start()
    try:
        with age.stdin:
            yield age.stdin
    finally:
        pump.join()
        complaint = age.stderr.read().decode(errors='replace').strip()
        code = age.wait()
        age.stdout.close()
        age.stderr.close()
    if failures:
        raise failures[0]
    if code != 0:
        raise StepError(f'age failed ({code}): {complaint}')


def pass_on(source: IO[bytes], target: Writer, failed: Callable[[OSError], None]) -> None:
    """Copies to the end. When the target is gone, what is left is read and dropped, so that nobody waits for ever."""
    for chunk in iter(lambda: source.read(1 << 16), b''):
        try:
            target.write(chunk)
        except OSError as error:
            failed(error)
            for _ in iter(lambda: source.read(1 << 16), b''):
                pass
            return


def output_of(command: list[str], seconds: int, failed: Callable[[str], None]) -> Iterator[bytes]:
    """What a program says on both channels, as it comes; a failure is reported and ends nothing."""
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd='/'
        )
    except OSError as error:
        failed(f'{" ".join(command)}: {error.strerror}')
        return
    assert process.stdout is not None
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    try:
        with process.stdout:
            yield from iter(lambda: process.stdout.read(1 << 16), b'')  # type: ignore[union-attr]
        if (code := process.wait()) != 0:
            failed(f'{" ".join(command)}: exit code {code}' + (f', after {seconds} s' if code == -9 else ''))
    finally:
        timer.cancel()
        process.kill()
        process.wait()
