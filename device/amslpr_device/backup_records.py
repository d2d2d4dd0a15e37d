"""The record beside each archive: what is in it, which number it has, and where copies of it are."""

import json
from datetime import UTC, datetime
from typing import Any

from amslpr_device.backup_places import SUFFIX, Places, records_locked, write_new


def read_record(places: Places, name: str) -> dict[str, Any]:
    """The record of an archive; empty when a power cut came before it, or it cannot be read."""
    try:
        found = json.loads((places.backups / f'{name}.json').read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_record(places: Places, record: dict[str, Any]) -> None:
    """Puts it beside its archive, whole or not at all."""
    write_new(places.backups / f'{record["name"]}.json', (json.dumps(record, indent=2) + '\n').encode(), 0o640)


def number(places: Places, name: str) -> int:
    """Archives are counted, since names and times are those of a clock that may have been wrong."""
    found = read_record(places, name).get('number', 0)
    return found if isinstance(found, int) else 0


def archives(places: Places) -> list[str]:
    """Names of all archives in the order in which they were made; those that were never counted are the first."""
    names = [path.name.removesuffix(SUFFIX) for path in places.backups.glob(f'amslpr-*{SUFFIX}')]
    return sorted(names, key=lambda name: (number(places, name), name))


def copies(places: Places, name: str) -> list[dict[str, Any]]:
    """Where copies of an archive went: [{to, at}]."""
    found = read_record(places, name).get('copies', [])
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def note_copy(places: Places, name: str, to: str) -> None:
    """Notes that a whole copy is at `to`, in the record of the archive and as the last of all copies."""
    at = datetime.now(UTC).isoformat(timespec='seconds')
    with records_locked(places):
        record = read_record(places, name)
        # An archive that went meanwhile gets no record again.
        if record and (places.backups / (name + SUFFIX)).exists():
            others = [one for one in copies(places, name) if one.get('to') != to]
            write_record(places, {**record, 'name': name, 'copies': [*others, {'to': to, 'at': at}]})
        last = json.dumps({'name': name, 'to': to, 'at': at})
        write_new(places.backups / '.last-copy.json', f'{last}\n'.encode(), 0o640)


def last_copy(places: Places) -> dict[str, Any]:
    """{name, to, at} of the copy that was noted last, whether its archive is still here or not; empty without one."""
    try:
        found = json.loads((places.backups / '.last-copy.json').read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
