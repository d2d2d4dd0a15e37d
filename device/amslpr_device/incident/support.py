"""amslpr-device support-bundle [--checks]: what somebody else may know of this device to help, to standard output.

A gzipped tar for the maker or a dealer: states, versions, sizes and failures. It is not encrypted and need not be:
nothing enters by being left over after a redaction. Each value is on the list of `support_facts.py`, in a form that
has no room for more: no text of a log, no name or address of anybody. Then every member is searched for every secret
of this device, in plain, hexadecimal and base64; one that has any is left out, and the program fails.

--checks adds which checks of the image pass, and takes a minute; `support-bundle try` makes one and sends nothing.
"""

from __future__ import annotations

import argparse
import gzip
import io
import os
import sys

from amslpr_device.context import Context
from amslpr_device.incident import known_secrets, support_facts
from amslpr_device.incident.outlet import Archive, Writer


def make(ctx: Context, checks: bool) -> tuple[bytes, list[str], list[str]]:
    """The bundle, names of its members, and what was left out with the reason."""
    raw, names, left_out = io.BytesIO(), list[str](), list[str]()
    archive = Archive(raw)
    for name, text in support_facts.members(ctx, checks):
        data = text.encode()
        found = known_secrets.leaks(ctx, data)
        if found:
            left_out.append(f'{name} was left out: it would have held a secret of {found}')
            continue
        archive.add(name, data)
        names.append(name)
    archive.close()
    return gzip.compress(raw.getvalue(), mtime=0), names, left_out


def main(ctx: Context, rest: list[str], out: Writer | None = None) -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(prog='amslpr-device support-bundle', description=(__doc__ or '').split('\n')[0])
    parser.add_argument('verb', nargs='?', choices=['try'])
    parser.add_argument('--checks', action='store_true', help='which checks of the image pass')
    wanted = parser.parse_args(rest)
    if ctx.real and os.geteuid() != 0:
        print('support-bundle needs root: sudo amslpr-device support-bundle', file=sys.stderr)
        return 1
    if out is None and wanted.verb is None and sys.stdout.isatty():
        place = "ssh ADMIN@DEVICE 'sudo -S amslpr-device support-bundle' > FILE.tar.gz"
        print(f'send it to a file on your machine: {place}', file=sys.stderr)
        return 2
    data, names, left_out = make(ctx, wanted.checks)
    if wanted.verb == 'try':
        print(f'{len(names)} files, {len(data)} bytes: {", ".join(names)}')
    else:
        (out or sys.stdout.buffer).write(data)
        sys.stdout.flush()
    for one in left_out:
        print(one, file=sys.stderr)
    return 1 if left_out else 0
