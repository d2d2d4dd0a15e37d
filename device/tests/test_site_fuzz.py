"""Mutated site files: whatever they hold, there is an answer, and what is taken survives its canonical spelling."""

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from amslpr_device.site_file import Result, validate

SITES = Path(__file__).parents[2] / 'test/fixtures/sites'
GOOD = [path.read_bytes() for path in sorted((SITES / 'good').iterdir())]
SMALL = [seed for path in sorted((SITES / 'bad').iterdir()) if len(seed := path.read_bytes()) < 4096]
# Between two bars each.
PIECES = (
    b'||\n| |  |\t|\r\n|\0|"|\'|#| #|: |:|- |-|...\n|---\n|&a |*a|!!x |>|[|{|\\|\\n|\\u000a|\\ud800|%|\xff|\xc2\x85|'
    b'\xe2\x80\xae|true|0|format: 1\n|name: x\n|keys:\n|0.0.0.0/0|::|fe80::1%a|sk-ssh-ed25519@openssh.com AAAA'
).split(b'|')
RUNS = 3000


def mutated(chance: random.Random) -> bytes:
    """A file of the corpus with a few changes, of bytes, pieces or lines."""
    text = chance.choice(GOOD if chance.randrange(4) else SMALL)
    for _ in range(chance.randint(1, 3)):
        at, size = chance.randrange(len(text) + 1), chance.choice((0, 0, 1, 2, 8, 64))
        kind = chance.randrange(5)
        if kind == 0:
            text = text[:at] + chance.choice(PIECES) + text[at + size :]
        elif kind == 1:
            text = text[:at] + chance.randbytes(chance.randint(1, 3)) + text[at + size :]
        elif kind == 2:
            lines = text.split(b'\n')
            lines.insert(chance.randrange(len(lines)), lines.pop(chance.randrange(len(lines))))
            text = b'\n'.join(lines)
        elif kind == 3:
            other = chance.choice(SMALL)
            text = text[:at] + other[chance.randrange(len(other) + 1) :]
        else:
            lines = text.split(b'\n')
            place = chance.randrange(len(lines))
            lines[place] = b' ' * chance.randint(0, 6) + lines[place].lstrip()
            text = b'\n'.join(lines)
    return text


def check(result: Result) -> None:
    """What holds for every answer."""
    if not result.ok:
        assert result.problems
        assert result.site is None
        assert result.canonical is None
        assert all(one.message and one.line >= 0 and one.column >= 0 for one in result.problems)
        assert [one.line for one in result.problems] == sorted(one.line for one in result.problems)
        return
    assert result.canonical is not None
    again = validate(result.canonical.encode())
    assert (again.problems, again.site, again.canonical) == ([], result.site, result.canonical)


def test_mutated_files_always_get_an_answer() -> None:
    start, taken = time.process_time(), 0
    for run in range(RUNS):
        text = mutated(random.Random(run))  # noqa: S311 - the same files at every run
        try:
            result = validate(text)
            check(result)
        except Exception as error:
            pytest.fail(f'run {run}: {error!r} for {text!r}')
        taken += result.ok
    assert time.process_time() - start < 10
    # Some mutations hurt nothing; were none or most taken, this test would show little.
    assert RUNS // 100 < taken < RUNS // 2


def test_noise_is_never_taken() -> None:
    for run in range(300):
        chance = random.Random(run)  # noqa: S311 - the same files at every run
        assert not validate(b''.join(chance.choices(PIECES, k=chance.randint(0, 200)))).ok
        assert not validate(chance.randbytes(chance.randint(0, 500))).ok


# Runs in a process of its own, whose memory is what is measured.
LIMITED = """
import random, sys, time
sys.path[:0] = sys.argv[1:3]
from test_site_fuzz import check, large, mutated, validate
slowest, taken = 0.0, 0
for run in range(int(sys.argv[3])):
    chance = random.Random(run + 1_000_000)
    text = mutated(chance) if run % 40 else large(chance)
    start = time.process_time()
    result = validate(text)
    slowest = max(slowest, time.process_time() - start)
    check(result)
    taken += result.ok
peak = next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM:'))
print(slowest, peak, taken)
"""
MANY = 10_500


def large(chance: random.Random) -> bytes:
    """A file of the corpus in which a line, or a piece, stands so often that it has up to the most bytes, or more."""
    lines = chance.choice(GOOD).split(b'\n')
    at = chance.randrange(len(lines))
    piece = chance.choice((lines[at] + b'\n', chance.choice(PIECES), chance.choice(PIECES) + b'\n')) or b' '
    times = chance.choice((32, 64, 70)) * 1024 // len(piece)
    return b'\n'.join(lines[:at]) + b'\n' + piece * times + b'\n'.join(lines[at:])


@pytest.mark.slow
def test_ten_thousand_files_take_little_time_and_memory() -> None:
    """Never a traceback; 2 s and 64 MB at most for each, as on a device with 512 MB."""
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, '-c', LIMITED, str(here), str(here.parent), str(MANY)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    slowest, memory, taken = done.stdout.split()
    assert float(slowest) < 2
    assert int(memory) < 64 * 1024
    assert MANY // 100 < int(taken) < MANY // 2
