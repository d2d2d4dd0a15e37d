"""Makes room: root grows, and partition 4 takes the rest of the card for data. Slot 3 stays free.

Data of an earlier device is looked for before anything is written: with `data: existing: keep` the device waits, with
`adopt` root grows up to that data, with `erase` what opens it is overwritten.

The plan is written first (partitions.json), then the table in one synced sector, then the file system grows, which
resize2fs does on line and can do again. Checked by table and superblock. A cut leaves plan, table and size, in that
order; the next run goes on from there.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

from amslpr_device import used_card
from amslpr_device.context import Context, StepError, Waiting
from amslpr_device.disk import MEBIBYTE, SECTOR, Card, Partition, find_card, read_table, write_entries
from amslpr_device.files import write_record

RECORD = 'partitions.json'
GIBIBYTE = 1 << 30
# Left at the end of root's partition for the LUKS header that root gets when it is encrypted in place.
RESERVE = 32 * MEBIBYTE
ALIGN = 4 * MEBIBYTE // SECTOR
LEAST_DATA = GIBIBYTE


def plan(card: int, root: Partition) -> dict[str, int]:
    """Starts and sizes in sectors for a card of so many sectors. Raises StepError when data would be too small."""
    total = card // ALIGN * ALIGN
    least = GIBIBYTE // SECTOR
    wanted = max(root.sectors + least, min(8 * least, card * 4 // 10))
    # On a small card root gets less rather than data nothing.
    end = min(root.start + wanted, total - LEAST_DATA // SECTOR) // ALIGN * ALIGN
    if end < root.end + RESERVE // SECTOR:
        have, need = card * SECTOR / GIBIBYTE, (root.end * SECTOR + RESERVE + LEAST_DATA) / GIBIBYTE
        raise StepError(
            f'the card has {have:.1f} GiB; data needs 1 GiB behind root, {need:.1f} GiB in all', 'use a larger card'
        )
    return {'root_start': root.start, 'root_sectors': end - root.start, 'data_start': end, 'data_sectors': total - end}


def planned(ctx: Context) -> dict[int, Partition]:
    """The entries of the record; empty when there is none."""
    found = ctx.remember(RECORD)
    if not found:
        return {}
    return {
        2: Partition(found['root_start'], found['root_sectors']),
        4: Partition(found['data_start'], found['data_sectors']),
    }


def file_system_bytes(device: Path) -> int:
    """Size of an ext4 file system by its superblock."""
    with device.open('rb') as file:
        file.seek(1024)
        block = file.read(1024)
    low, log_size, high = (struct.unpack_from('<I', block, at)[0] for at in (0x4, 0x18, 0x150))
    return (low | high << 32) * (1024 << log_size)


def aim(partition: Partition) -> int:
    """Size that root's file system shall have, in KiB."""
    return (partition.sectors * SECTOR - RESERVE) // 4096 * 4


def product_ok(ctx: Context) -> bool:
    """Whether table and file system are as planned, and the kernel knows."""
    entries = planned(ctx)
    if not entries:
        return False
    card = find_card(ctx)
    table = read_table(card)
    if any(table.get(number) != entry for number, entry in entries.items()):
        return False
    return card.partition(4).exists() and file_system_bytes(card.partition(2)) >= aim(entries[2]) * 1024


def make(ctx: Context) -> None:
    """Goes on from wherever a cut left it."""
    card = find_card(ctx)
    table = read_table(card)
    if 2 not in table:
        raise StepError('the card has no second partition', 'write the image to the card again')
    if not planned(ctx):
        write_record(ctx.state / RECORD, choose(ctx, card, table))
    entries = planned(ctx)
    if entries[2].start != table[2].start or entries[2].sectors < table[2].sectors:
        raise StepError('the partition table is not the one that was planned', 'this system was made for another card')
    if any(table.get(number) != entry for number, entry in entries.items()):
        # Not once there is data of this device, whatever the record says.
        for start in [] if ctx.remember('data.json') else ctx.remember(RECORD).get('erase', []):
            used_card.erase(card, start)
        write_entries(card, entries)
    tell_kernel(ctx, card)
    ctx.run(['resize2fs', str(card.partition(2)), f'{aim(entries[2])}K'])
    os.sync()


def choose(ctx: Context, card: Card, table: dict[int, Partition]) -> dict[str, Any]:
    """The plan for this card and what is on it; raises Waiting when a person has to decide about that first."""
    olds = used_card.find(card, table)
    if 3 in table or (4 in table and not olds):
        raise StepError('the card has partitions that are not of this image', 'write the image to the card again')
    existing = ctx.site.get('data', {}).get('existing', 'keep')
    if existing == 'adopt':
        if not olds:
            hint = 'write `data: existing: keep` to start with empty data, or use the card that has the data'
            raise Waiting('The site file says `adopt`, but no earlier device left data on this card.', hint)
        return around(card.sectors(), table[2], olds)
    if not olds:
        return plan(card.sectors(), table[2])
    if existing == 'erase':
        return {**plan(card.sectors(), table[2]), 'erase': [one.start for one in olds]}
    found = ' and '.join(one.words() for one in olds)
    raise Waiting(f'The card holds {found} of an earlier device.', used_card.DECIDE)


def around(card: int, root: Partition, olds: list[used_card.Old]) -> dict[str, int]:
    """The plan that leaves data where it is. Raises StepError when that cannot be."""
    hint = 'write an image with a smaller root, or put a backup back on another card'
    if len(olds) > 1:
        found = ' and '.join(one.words() for one in olds)
        raise StepError(f'the card holds {found}: which to adopt is not clear', 'flash it again with --keep-data')
    old = olds[0]
    if old.start < root.end + RESERVE // SECTOR:
        raise StepError(f'the new system reaches into the place of {old.words()}', hint)
    if old.start + old.sectors > card:
        raise StepError(f'the card ends before {old.words()} does', 'use the card that the data was made on')
    return {
        'root_start': root.start,
        'root_sectors': old.start - root.start,
        'data_start': old.start,
        'data_sectors': old.sectors,
    }


def tell_kernel(ctx: Context, card: Card) -> None:
    """Makes the kernel see the new sizes although root is mounted."""
    ctx.run(['partx', '--update', '--nr', '2', str(card.path)])
    # One that a used card had may be at another place now.
    ctx.run(['partx', '--update' if card.partition(4).exists() else '--add', '--nr', '4', str(card.path)])
    ctx.succeeds(['udevadm', 'settle', '--timeout=30'])
