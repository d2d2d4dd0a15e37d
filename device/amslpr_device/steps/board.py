"""Makes nothing: looks whether the card is still in the board that it was set up in (the twin guard).

Checked by the serial number of the first start with data. In another board the data stays closed and the application
down, while network and SSH are up: two copies of a card must not pass for one device, and a thief's board must not open
one. `adopt-board` (after a repair) or `adopt-board --clone` (a copy: new identity) goes on. A cut leaves nothing.
"""

from amslpr_device.context import Context, Waiting
from amslpr_device.steps import identity


def product_ok(ctx: Context) -> bool:
    """Whether this is the board of the record. `unknown` is a serial number like others: it has to stay so."""
    return ctx.remember(identity.NAME).get('board') == identity.facts(ctx)['board']


def make(ctx: Context) -> None:
    """Waits for somebody to say what happened."""
    was, now = ctx.remember(identity.NAME).get('board', 'unknown'), identity.facts(ctx)['board']
    hint = (
        'was the board replaced: sudo amslpr-device adopt-board; is this a copy of the card, with the first one still '
        'in use: sudo amslpr-device adopt-board --clone; else put the card back into its own board'
    )
    raise Waiting(f'This card was set up in the board {was}, and this is the board {now}: its data stays closed.', hint)
