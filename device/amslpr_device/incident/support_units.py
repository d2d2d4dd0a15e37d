"""Units in a support bundle: by names that lie on the root partition as files, since a name can hold anything."""

from __future__ import annotations

import re
from collections.abc import Iterator

from amslpr_device.context import Context

FOLDERS = ('/usr/lib/systemd/system', '/etc/systemd/system')
COLUMN = re.compile('[a-z-]{2,20}')


def known_units(ctx: Context) -> set[str]:
    """Packaged units and ours; templates without an instance. What somebody else added is no name of ours to give."""
    packaged = {one.name for one in ctx.at(FOLDERS[0]).glob('*.*')}
    ours = {one.name for one in ctx.at(FOLDERS[1]).glob('amslpr*.*')}
    return packaged | {one for one in ours if re.fullmatch(r'amslpr[a-z-]{0,30}@?\.[a-z]+', one)}


def state_lines(units: set[str], lines: list[str]) -> Iterator[str]:
    """Name and three states of each known unit, from `systemctl list-units --plain`."""
    for line in lines:
        columns = line.split()
        if len(columns) < 4:
            continue
        name = re.sub(r'@.*(\.[a-z]+)$', r'@\1', columns[0])
        if name in units and all(COLUMN.fullmatch(one) for one in columns[1:4]):
            yield ' '.join([name, *columns[1:4]]) + '\n'
