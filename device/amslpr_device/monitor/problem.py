"""What a look at the device finds."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """`key` tells one problem from another; it counts once it was seen `runs` times in a row."""

    key: str
    text: str
    hint: str = ''
    runs: int = 1
