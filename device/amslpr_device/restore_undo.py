"""What takes a restore back: after a failure at once, after a power cut at the next start, before the application.

Before the first file moves, a record says which files there were. Each of them is in its place or below the folder that
keeps what was there before, whenever the power goes; so they can be put back, and putting back can be cut too.
"""

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

from amslpr_device.backup_places import Places, sync_folder, write_new


def record(places: Places) -> Path:
    """Where it is written; the application cannot write there."""
    return places.backups / '.restore.json'


def beside(target: Path) -> Path:
    """Where a file waits for its place, on the same file system."""
    return target.with_name(f'.{target.name}.restored')


def begin(places: Places, aside: Path, new: list[Path]) -> None:
    """From now on files may lie beside their places."""
    write(places, {'aside': aside.name, 'new': [str(path.relative_to(places.root)) for path in new], 'there': None})


def about_to_move(places: Places, paths: list[Path]) -> None:
    """From now on these paths may be moved away, and what waits beside them may be moved in."""
    found = json.loads(record(places).read_text())
    there = {str(path.relative_to(places.root)): os.path.lexists(path) for path in paths}
    write(places, {**found, 'there': there})


def write(places: Places, found: dict[str, Any]) -> None:
    """Puts the record in place, so that it lasts."""
    write_new(record(places), json.dumps(found).encode(), 0o600)


def end(places: Places) -> None:
    """The restore is done, or taken back."""
    record(places).unlink(missing_ok=True)
    sync_folder(places.backups)


def undo(places: Places) -> bool:
    """Puts everything back; False when no restore was under way."""
    try:
        found = json.loads(record(places).read_text())
    except FileNotFoundError:
        return False
    aside = places.state / Path(found['aside']).name
    for name, was_there in reversed((found['there'] or {}).items()):
        target, kept = places.root / name, aside / name
        if os.path.lexists(kept):
            if target.is_dir() and not target.is_symlink():
                shutil.rmtree(target)
            move(kept, target)
        elif not was_there and os.path.lexists(target):
            shutil.rmtree(target) if target.is_dir() and not target.is_symlink() else target.unlink()
            sync_folder(target.parent)
    for name in found['new']:
        beside(places.root / name).unlink(missing_ok=True)
    shutil.rmtree(aside, ignore_errors=True)
    end(places)
    return True


def move(source: Path, target: Path) -> None:
    """Renames. Between file systems the copy is on the card, whole and under its name, before the source goes."""
    try:
        source.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        unfinished = beside(target)
        shutil.copy2(source, unfinished)
        if os.geteuid() == 0:
            status = source.stat()
            os.chown(unfinished, status.st_uid, status.st_gid)
        with unfinished.open('rb') as file:
            os.fsync(file.fileno())
        unfinished.rename(target)
        sync_folder(target.parent)
        source.unlink()
    sync_folder(target.parent)
    sync_folder(source.parent)
