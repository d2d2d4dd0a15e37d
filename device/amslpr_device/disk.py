"""The card: its MBR table, one sector that is changed all or nothing, and what a partition holds."""

from __future__ import annotations

import json
import os
import struct
from dataclasses import dataclass
from pathlib import Path

from amslpr_device.context import Context, StepError

SECTOR = 512
MEBIBYTE = 1 << 20
LUKS = (b'LUKS\xba\xbe', b'SKUL\xba\xbe')
# Where LUKS2 keeps its second header, by the size of the first.
SECOND_HEADERS = [0x4000 << shift for shift in range(9)]


@dataclass(frozen=True)
class Partition:
    """A partition in sectors."""

    start: int
    sectors: int
    kind: int = 0x83

    @property
    def end(self) -> int:
        """The sector behind it."""
        return self.start + self.sectors


@dataclass(frozen=True)
class Card:
    """The disk that root is on, and the names of its partitions."""

    path: Path

    def partition(self, number: int) -> Path:
        """/dev/mmcblk0p4, /dev/vda4."""
        middle = 'p' if self.path.name[-1].isdigit() else ''
        return self.path.with_name(f'{self.path.name}{middle}{number}')

    def sectors(self) -> int:
        """Its size."""
        with self.path.open('rb') as disk:
            return disk.seek(0, os.SEEK_END) // SECTOR


def find_card(ctx: Context) -> Card:
    """The disk of the root file system."""
    source = os.path.realpath(ctx.run(['findmnt', '-nvo', 'SOURCE', '/']).decode().strip())
    parent = ctx.run(['lsblk', '-ndo', 'PKNAME', source]).decode().strip()
    if not parent:
        raise StepError(f'the disk of {source} was not found', 'root has to be a partition of the card')
    return Card(Path('/dev') / parent)


def read_table(card: Card) -> dict[int, Partition]:
    """The four entries that are in use."""
    with card.path.open('rb') as disk:
        sector = disk.read(SECTOR)
    if sector[510:] != b'\x55\xaa':
        raise StepError(f'{card.path} has no partition table', 'write the image to the card again')
    found: dict[int, Partition] = {}
    for number in range(1, 5):
        entry = sector[446 + 16 * (number - 1) : 446 + 16 * number]
        kind, start, sectors = entry[4], *struct.unpack('<II', entry[8:16])
        if kind and sectors:
            found[number] = Partition(start, sectors, kind)
    return found


def write_entries(card: Card, changes: dict[int, Partition]) -> None:
    """Changes entries by writing one sector, and syncs it. The disk's signature and all else stay as they are."""
    with card.path.open('r+b', buffering=0) as disk:
        sector = bytearray(disk.read(SECTOR))
        for number, new in changes.items():
            at = 446 + 16 * (number - 1)
            # Cylinders are of no use here; this says so.
            sector[at : at + 16] = struct.pack(
                '<B3sB3sII', 0, b'\xfe\xff\xff', new.kind, b'\xfe\xff\xff', new.start, new.sectors
            )
        disk.seek(0)
        disk.write(sector)
        os.fsync(disk.fileno())
    for number, new in changes.items():
        if read_table(card).get(number) != new:
            raise StepError(
                f'{card.path} did not keep its new partition table', 'the card may be broken: use another one'
            )


def header_uuids(path: Path) -> set[str]:
    """UUIDs that stand in LUKS headers, the first or a second one, whole or torn: id and UUID share a sector."""
    found: set[str] = set()
    with path.open('rb') as device:
        for offset in (0, *SECOND_HEADERS):
            device.seek(offset)
            sector = device.read(SECTOR)
            if sector[:6] in LUKS:
                found.add(sector[168:208].rstrip(b'\0').decode(errors='replace'))
    return found


def holds_container(path: Path) -> bool:
    """Whether there is a LUKS header, the first or a second one."""
    return bool(header_uuids(path))


def container_uuid(ctx: Context, path: Path) -> str:
    """UUID of the LUKS2 container that cryptsetup itself can read, empty when there is none."""
    if not ctx.succeeds(['cryptsetup', 'isLuks', '--type', 'luks2', str(path)]):
        return ''
    return ctx.run(['cryptsetup', 'luksUUID', str(path)]).decode().strip()


def describe(ctx: Context, path: Path) -> str:
    """A container in words, for somebody who has to decide about it."""
    uuid = container_uuid(ctx, path)
    if not uuid:
        return 'a damaged LUKS container'
    found = json.loads(ctx.run(['cryptsetup', 'luksDump', '--dump-json-metadata', str(path)]) or b'{}')
    with path.open('rb') as device:
        device.seek(208)
        owner = ''.join(char for char in device.read(48).split(b'\0')[0].decode(errors='replace') if char.isprintable())
    whose = f' of {owner}' if owner else ''
    return f'the LUKS container {uuid}{whose} with {len(found.get("keyslots", {}))} keys'
