"""Releases below /opt/amslpr/releases: what there is, which one runs, and which are kept.

`current` is a link to one of them. The folder /var/backups/amslpr/releases, on the encrypted partition, has one folder
for each change: the databases as they were before it and record.json {release, before, created, databases}.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

from amslpr_device.backup_places import BackupError, Places
from amslpr_device.files import move, sync_folder

KEPT = 3
NAME = re.compile(r'[0-9a-f]{16}')
ROLLED_BACK = 'rolled-back'


def home(places: Places) -> Path:
    """Where releases are."""
    return places.root / 'opt/amslpr/releases'


def link(places: Places) -> Path:
    """The link to the release that runs."""
    return places.root / 'opt/amslpr/current'


def snapshots(places: Places) -> Path:
    """Where databases of before a change are; only root enters."""
    return places.backups / 'releases'


def current(places: Places) -> str:
    """Name of the release that runs; raises BackupError when the link leads to none."""
    try:
        target = os.readlink(link(places))
    except OSError:
        raise BackupError(f'{link(places)} is not there or is no link: write the card anew') from None
    folder, _, name = target.rpartition('/')
    if folder != 'releases' or not NAME.fullmatch(name) or not (home(places) / name).is_dir():
        raise BackupError(
            f'{link(places)} leads to {target!r}, which is no release: point it to one of {known(places)}'
        )
    return name


def known(places: Places) -> list[str]:
    """Names of all releases, the newest first."""
    found = [path for path in home(places).iterdir() if NAME.fullmatch(path.name) and path.is_dir()]
    return [path.name for path in sorted(found, key=lambda path: (path.stat().st_mtime_ns, path.name), reverse=True)]


def point(places: Places, name: str) -> None:
    """Makes `name` the release that the next start takes: the old one or the new one, whenever the power goes."""
    aside = link(places).with_name('.current.new')
    aside.unlink(missing_ok=True)
    aside.symlink_to(f'releases/{name}')
    move(aside, link(places))


def record(places: Places, name: str) -> dict[str, Any] | None:
    """What is known of the change to release `name`; None when nothing is, or nothing that can be read."""
    try:
        found = json.loads((snapshots(places) / name / 'record.json').read_text())
    except (OSError, ValueError):
        return None
    good = isinstance(found, dict) and NAME.fullmatch(str(found.get('before'))) and 'databases' in found
    return found if good else None


def chain(places: Places) -> list[str]:
    """The release that runs, the one that it took the place of, and so on as far as there are releases."""
    names = [current(places)]
    while True:
        found = record(places, names[-1])
        before = found['before'] if found else ''
        if not before or before in names or not (home(places) / before).is_dir():
            return names
        names.append(before)


def prune(places: Places) -> None:
    """Removes all but KEPT releases, and their snapshots: what can be gone back to stays first, then the newest."""
    order = list(dict.fromkeys([*chain(places), *known(places)]))
    kept = set(order[:KEPT])
    for name in order[KEPT:]:
        shutil.rmtree(home(places) / name)
    if snapshots(places).is_dir():
        for path in snapshots(places).iterdir():
            if path.is_dir() and path.name not in kept and path.name != ROLLED_BACK:
                shutil.rmtree(path)
        sync_folder(snapshots(places))
    sync_folder(home(places))
