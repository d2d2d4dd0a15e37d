"""What every step of the first boot is given: where things are, programs, and the facts of this device.

Secrets go to programs by standard input or by files in memory, never by arguments, environment or logs.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MAPPER = 'amslpr-data'


class StepError(Exception):
    """A step cannot do its work: what is wrong, and what a person can do."""

    def __init__(self, message: str, hint: str = '') -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Waiting(StepError):
    """Nothing is wrong, but a person has to do something first; with `again`, it may come right by itself."""

    def __init__(self, message: str, hint: str = '', *, again: bool = False) -> None:
        super().__init__(message, hint)
        self.again = again


@dataclass
class Context:
    """Paths are below `root`, which is / but in tests."""

    root: Path = Path('/')
    site: dict[str, Any] = field(default_factory=dict)

    def at(self, path: str) -> Path:
        """The place of an absolute path."""
        return self.root / path.lstrip('/')

    @property
    def real(self) -> bool:
        """Whether this is a device and not a test's folder."""
        return self.root == Path('/')

    @property
    def state(self) -> Path:
        """The first boot's own memory, on root."""
        return self.at('/var/lib/amslpr-device')

    @property
    def run_folder(self) -> Path:
        """What is forgotten at power off."""
        return self.at('/run/amslpr-device')

    @property
    def boot(self) -> Path:
        """The boot partition."""
        return self.at('/boot/firmware')

    @property
    def key_file(self) -> Path:
        """The machine key of the method `card`."""
        return self.state / 'keys' / 'data.key'

    @property
    def mapped(self) -> Path:
        """The opened data partition."""
        return self.at(f'/dev/mapper/{MAPPER}')

    @property
    def method(self) -> str:
        """The site's unlock method."""
        return str(self.site['unlock']['method'])

    def run(
        self, arguments: Sequence[str], *, give: bytes = b'', fds: Sequence[int] = (), ok: Sequence[int] = (0,)
    ) -> bytes:
        """Runs a program and returns its output; raises StepError with what it said when it fails."""
        try:
            done = subprocess.run(list(arguments), input=give, capture_output=True, pass_fds=fds, check=False)
        except OSError as error:
            raise StepError(f'{arguments[0]} could not be started: {error.strerror}') from error
        if done.returncode not in ok:
            said = done.stderr.decode(errors='replace').strip()[-500:]
            raise StepError(f'{arguments[0]} failed ({done.returncode}): {said or "it said nothing"}')
        return done.stdout

    def succeeds(self, arguments: Sequence[str], *, give: bytes = b'', fds: Sequence[int] = ()) -> bool:
        """Whether a program ends with 0."""
        done = subprocess.run(list(arguments), input=give, capture_output=True, pass_fds=fds, check=False)
        return done.returncode == 0

    def is_mounted(self, path: str) -> bool:
        """Whether something is mounted at an absolute path, by the kernel's table: a file can be a mount point too."""
        try:
            lines = Path('/proc/self/mountinfo').read_text().splitlines()
        except OSError:
            return False
        return str(self.at(path)) in {line.split(' ')[4] for line in lines}

    def remember(self, name: str) -> dict[str, Any]:
        """A record of `state`, empty when there is none or it cannot be read."""
        try:
            found = json.loads((self.state / name).read_text())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def image(self) -> dict[str, Any]:
        """What the image says about itself."""
        try:
            return json.loads(self.at('/usr/share/amslpr/image.json').read_text())
        except (OSError, ValueError):
            return {}


@contextmanager
def in_memory(secret: bytes) -> Iterator[tuple[str, int]]:
    """A file that only exists in memory: its path for a child, and the descriptor to pass to it."""
    descriptor = os.memfd_create('amslpr', 0)
    try:
        os.write(descriptor, secret)
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield f'/dev/fd/{descriptor}', descriptor
    finally:
        os.close(descriptor)
