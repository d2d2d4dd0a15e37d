"""`amslpr-device app list | update ARCHIVE | rollback`; `recover` is what a unit runs before the application starts."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType

from amslpr_device.app import change, releases
from amslpr_device.backup_places import BackupError, Places, exclusive


def main(arguments: Sequence[str], places: Places | None = None, system: change.System | None = None) -> int:
    """Returns the exit code: 0 well, 1 the old release runs on, 2 usage."""
    parser = argparse.ArgumentParser(prog='amslpr-device app', description='Releases of the application.')
    verbs = parser.add_subparsers(dest='verb', required=True)
    verbs.add_parser('list', help='releases on the device, and what can be gone back to')
    updating = verbs.add_parser('update', help='install the release in a tar archive; back by itself when it fails')
    updating.add_argument('archive', metavar='ARCHIVE', help='.tar, .tar.gz, .tar.xz; - for standard input')
    verbs.add_parser('rollback', help='the release before, with the database of then')
    verbs.add_parser('recover', help='undo a change that the power cut short; run at the start')
    try:
        options = parser.parse_args(arguments)
    except SystemExit as end:
        return int(end.code or 0)
    if places is None and os.geteuid() != 0:
        print('run it with sudo', file=sys.stderr)
        return 1
    places = places or Places()
    system = system or change.SteadyServices(places)
    try:
        print(answer(places, system, options.verb, getattr(options, 'archive', '')), flush=True)
    except (BackupError, OSError, subprocess.SubprocessError) as error:
        print(f'amslpr-device app: {error}', file=sys.stderr)
        return 1
    return 0


def answer(places: Places, system: change.System, verb: str, archive: str) -> str:
    """Does a verb and returns what to print."""
    if verb == 'list':
        return listed(places)
    if verb == 'recover':
        with exclusive(places):
            back = change.recover(places)
        return f'An update was cut short: release {back} is back, with its database' if back else 'Nothing to undo'
    # A connection that breaks must not leave a change half done; whoever ends the program gets the old release back.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, end)
    return change.update(places, archive, system) if verb == 'update' else change.rollback(places, system)


def end(number: int, frame: FrameType | None) -> None:
    """Makes a signal an exception, which undoes the change."""
    raise BackupError(f'ended by signal {number}')


def listed(places: Places) -> str:
    """A line for each release, what runs first."""
    order = list(dict.fromkeys([*releases.chain(places), *releases.known(places)]))
    lines = []
    for number, name in enumerate(order):
        found = releases.record(places, name)
        about = dict(
            line.split(': ', 1)
            for line in (releases.home(places) / name / 'RELEASE').read_text().splitlines()
            if ': ' in line
        )
        words = [
            name,
            'runs' if number == 0 else '-',
            f'version {about.get("version", "?")}',
            f'from {about.get("source", "?")}',
        ]
        if number == 0 and found:
            words.append(f'rollback leads to {found["before"]} and the database of {found["created"]}')
        lines.append('  '.join(words))
    return '\n'.join(lines)
