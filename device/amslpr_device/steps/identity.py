"""Makes /var/lib/amslpr-device/identity.json: serial number of the board and id of the card, as first seen.

Checked by reading it back; `board` compares. Before there is data a card may move: the record follows.
A cut leaves nothing or the whole file.
"""

from contextlib import suppress
from pathlib import Path

from amslpr_device.context import Context
from amslpr_device.files import write_record

NAME = 'identity.json'


def read(path: Path) -> str:
    """Text of a file of the kernel, without the NUL that ends it; `unknown` when there is none."""
    with suppress(OSError):
        return path.read_bytes().rstrip(b'\0\n').decode(errors='replace') or 'unknown'
    return 'unknown'


def facts(ctx: Context) -> dict[str, str]:
    """What this board and this card say."""
    tree = ctx.at('/proc/device-tree')
    return {
        'board': read(tree / 'serial-number'),
        'model': read(tree / 'model'),
        'card': read(ctx.at('/sys/block/mmcblk0/device/cid')),
    }


def product_ok(ctx: Context) -> bool:
    """Whether the record is whole, and, while there is no data to guard, of this board."""
    found = ctx.remember(NAME)
    if ctx.remember('data.json'):
        return {'board', 'model', 'card'} <= found.keys()
    return found == facts(ctx)


def make(ctx: Context) -> None:
    """Writes the record."""
    write_record(ctx.state / NAME, facts(ctx))
