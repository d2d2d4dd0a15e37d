"""Who called us, as far as the SSH service knows: sudo takes the variables of a session away, its parents have them."""

from __future__ import annotations

import os
from pathlib import Path

DEPTH = 32


def connection(process: int | None = None, proc: Path = Path('/proc')) -> tuple[str, int] | None:
    """The caller's address (with `%interface` when link-local) and the port of sshd; None outside of SSH.

    Looks at this process and at its parents, nearest first.
    """
    number = process or os.getpid()
    for _ in range(DEPTH):
        found = of(proc / str(number))
        if found is not None:
            return found
        try:
            # The name in parentheses may hold spaces; the parent is the second field after it.
            number = int((proc / str(number) / 'stat').read_text().rpartition(')')[2].split()[1])
        except (OSError, ValueError, IndexError):
            return None
        if number <= 1:
            return None
    return None


def of(folder: Path) -> tuple[str, int] | None:
    """What one process was started with."""
    try:
        variables = (folder / 'environ').read_bytes().split(b'\0')
    except OSError:
        return None
    for one in variables:
        if one.startswith(b'SSH_CONNECTION='):
            parts = one.decode(errors='replace').partition('=')[2].split(' ')
            if len(parts) == 4 and parts[3].isdecimal():
                return parts[0], int(parts[3])
    return None
