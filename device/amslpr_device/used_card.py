"""Data of an earlier device on the card: found before anything is written over it, named, and overwritten when told to.

A card comes back with partition 4 in its table (`flash --keep-data`), or without, when another program wrote the image
over the table. Then the container is looked for at the places where a device of ours may have put it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import BinaryIO

from amslpr_device.disk import LUKS, MEBIBYTE, SECOND_HEADERS, SECTOR, Card, Partition

LABEL = b'amslpr-data'
ALIGN = 4 * MEBIBYTE // SECTOR
GIBIBYTE = (1 << 30) // SECTOR
# Both headers and all key slots: without them the rest is noise.
HEADER_BYTES = 16 * MEBIBYTE
DECIDE = (
    'say in the site file what becomes of it: `data: existing: adopt` to take it over with its recovery key, `erase` '
    'to lose it; or keep this card and use another one'
)


@dataclass(frozen=True)
class Old:
    """A container: its place in sectors, its UUID, and the host name of the device that made it, where known."""

    start: int
    sectors: int
    uuid: str
    owner: str

    def words(self) -> str:
        """For somebody who has to decide about it."""
        whose = f' of {self.owner}' if self.owner else ''
        return f'the encrypted data{whose} (container {self.uuid}, {self.sectors * SECTOR / (1 << 30):.1f} GiB)'


def text(sector: bytes, at: int, size: int) -> str:
    """A field of a LUKS2 header."""
    return ''.join(
        char for char in sector[at : at + size].split(b'\0')[0].decode(errors='replace') if char.isprintable()
    )


def named(sector: bytes) -> tuple[str, str] | None:
    """UUID and owner in a header's sector; None when it is none."""
    return (text(sector, 168, 40), text(sector, 208, 48)) if sector[:6] in LUKS else None


def header(disk: BinaryIO, start: int) -> tuple[str, str] | None:
    """UUID and owner of the container that starts at a sector, by its first header or a second one."""
    for offset in (0, *SECOND_HEADERS):
        found = named(os.pread(disk.fileno(), SECTOR, start * SECTOR + offset))
        if found is not None:
            return found
    return None


def places(table: dict[int, Partition], total: int) -> range:
    """Where the data of an earlier device may start: behind root, at most where the largest root would end."""
    root = table[2]
    end = min(total, root.start + max(root.sectors + 4 * GIBIBYTE, 9 * GIBIBYTE))
    return range(-(-root.end // ALIGN) * ALIGN, end, ALIGN)


def find(card: Card, table: dict[int, Partition]) -> list[Old]:
    """Containers of earlier devices. The table's own partition 4 is believed, else some thousand sectors are read."""
    total = card.sectors()
    with card.path.open('rb', buffering=0) as disk:
        if 4 in table:
            found = header(disk, table[4].start)
            return [Old(table[4].start, table[4].sectors, *found)] if found else []
        os.posix_fadvise(disk.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
        olds: list[Old] = []
        for start in places(table, total):
            # The first header, and the second one where cryptsetup puts it.
            head = os.pread(disk.fileno(), SECOND_HEADERS[0] + SECTOR, start * SECTOR)
            for sector in (head[:SECTOR], head[SECOND_HEADERS[0] :]):
                facts = named(sector)
                if facts is not None and sector[24:72].split(b'\0')[0] == LABEL:
                    olds.append(Old(start, total // ALIGN * ALIGN - start, *facts))
                    break
        return olds


def erase(card: Card, start: int) -> None:
    """Overwrites what opens a container, and syncs it."""
    with card.path.open('r+b', buffering=0) as disk:
        size = min(HEADER_BYTES, disk.seek(0, os.SEEK_END) - start * SECTOR)
        for at in range(0, size, MEBIBYTE):
            os.pwrite(disk.fileno(), b'\0' * min(MEBIBYTE, size - at), start * SECTOR + at)
        os.fsync(disk.fileno())
