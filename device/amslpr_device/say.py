"""Lines for the journal with a priority, and plain ones for a person."""

from __future__ import annotations

import os

ALERT, WARNING, NOTICE = 1, 4, 5


def say(level: int, text: str) -> None:
    """One message; its lines stay together on a terminal and get the priority each in the journal."""
    mark = f'<{level}>' if 'JOURNAL_STREAM' in os.environ else ''
    print('\n'.join(mark + line for line in text.split('\n')), flush=True)
