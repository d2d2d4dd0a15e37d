"""Changes the release that runs, with a way back that the power cannot cut off.

Order: the application stops, its databases are copied, change.json {from, to, undo} is written, `current` is renamed,
the application starts and has to answer and take a row. Only then change.json goes. Whoever finds it (the unit
amslpr-app-recover at the next start, or the next command) puts databases and release of before back.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Protocol

from amslpr_device.app import archive, databases, releases
from amslpr_device.backup_places import BackupError, Places, exclusive
from amslpr_device.files import sync_folder, write_record
from amslpr_device.restore_services import Services

STEADY = 3


class System(Protocol):
    """What starts the application."""

    def stop(self) -> None:
        """Returns when it has ended."""

    def start(self, tls: bool) -> None:
        """Returns when it was started."""

    def wait_until_healthy(self) -> None:
        """Raises BackupError when it does not answer in time."""


class SteadyServices(Services):
    """The services of this device; an application that answers once and dies is not healthy."""

    def wait_until_healthy(self, seconds: float = 90) -> None:
        super().wait_until_healthy(seconds)
        time.sleep(STEADY)
        super().wait_until_healthy(seconds)


def update(places: Places, file: str, system: System) -> str:
    """Installs the release in an archive and returns what was done; raises BackupError when the old one runs on."""
    with exclusive(places):
        finish(places, system)
        before = releases.current(places)
        made = archive.unpack(places, file)
        if made.name == before:
            return f'Release {before} runs already: nothing was done'
        try:
            undo = change(places, system, made.name, made.name)
        except BaseException:
            if made.is_new:
                shutil.rmtree(releases.home(places) / made.name, ignore_errors=True)
            raise
        releases.prune(places)
    return f'Release {made.name} runs; before it ran {before}. The database of before is in {undo}'


def rollback(places: Places, system: System) -> str:
    """Goes back to the release before, with the databases of then; raises BackupError when the present one runs on."""
    with exclusive(places):
        finish(places, system)
        now = releases.current(places)
        found = releases.record(places, now)
        if found is None:
            raise BackupError(f'release {now} took the place of no other one on this device: there is no way back')
        if not (releases.home(places) / found['before']).is_dir():
            raise BackupError(f'release {found["before"]}, which ran before, is not there any more')
        then = releases.snapshots(places) / now
        undo = change(places, system, found['before'], releases.ROLLED_BACK, then)
        shutil.rmtree(then)
    return (
        f'Release {found["before"]} runs, with the database of {found["created"]}. What was recorded since is in {undo}'
    )


def change(places: Places, system: System, target: str, undo_name: str, take: Path | None = None) -> Path:
    """Makes `target` run, with the databases of the snapshot `take` if given; returns the snapshot of before.

    Whatever goes wrong, the release and the databases of before come back, and BackupError says what it was.
    """
    before = releases.current(places)
    system.stop()
    try:
        undo = databases.snapshot(places, undo_name, before, damaged_too=take is not None)
        write_record(journal(places), {'from': before, 'to': target, 'undo': undo_name})
    except BaseException:
        journal(places).unlink(missing_ok=True)
        system.start(False)
        raise
    try:
        if take is not None:
            databases.put_back(places, take)
        releases.point(places, target)
        system.start(False)
        system.wait_until_healthy()
        databases.require_rows(places)
    except BaseException as error:
        back = go_back(places, system)
        if isinstance(error, (BackupError, OSError, subprocess.SubprocessError)):
            raise BackupError(f'release {target}: {error}. {back}') from error
        raise
    forget(places)
    return undo


def go_back(places: Places, system: System) -> str:
    """Undoes the change that is under way and starts what ran before; says whether that answers."""
    system.stop()
    recover(places)
    try:
        system.start(False)
        system.wait_until_healthy()
        databases.require_rows(places)
    except (BackupError, OSError, subprocess.SubprocessError) as error:
        return f'Release and database of before are back, but do not work either: {error}. See: journalctl -u amslpr'
    return f'Release {releases.current(places)} runs again, with the database of before'


def finish(places: Places, system: System) -> None:
    """Undoes a change that was cut short before something new begins."""
    if journal(places).exists():
        go_back(places, system)


def recover(places: Places) -> str:
    """Puts back what change.json says; the application must not run. Returns the release, or nothing to do: ''."""
    try:
        found = json.loads(journal(places).read_text())
    except FileNotFoundError:
        return ''
    undo = releases.snapshots(places) / found['undo']
    databases.put_back(places, undo)
    releases.point(places, found['from'])
    forget(places)
    shutil.rmtree(undo, ignore_errors=True)
    return str(found['from'])


def forget(places: Places) -> None:
    """The change is complete, or undone."""
    journal(places).unlink(missing_ok=True)
    sync_folder(releases.snapshots(places))


def journal(places: Places) -> Path:
    """What is under way."""
    return releases.snapshots(places) / 'change.json'
