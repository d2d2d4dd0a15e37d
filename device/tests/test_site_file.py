"""Site files: a corpus of good and bad ones, files that are cut, and files that are mutated."""

import base64
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from amslpr_device.site_file import validate

SITES = Path(__file__).parents[2] / 'test/fixtures/sites'
GOOD = sorted((SITES / 'good').iterdir())
BAD = [row.split('\t') for row in (SITES / 'expected.tsv').read_text().splitlines()[1:]]


@pytest.mark.parametrize('path', GOOD, ids=lambda path: path.stem)
def test_good(path: Path) -> None:
    result = validate(path.read_bytes())
    assert result.problems == []
    assert result.ok
    assert result.canonical is not None
    again = validate(result.canonical.encode())
    assert again.problems == []
    assert (again.canonical, again.site, again.digest) == (result.canonical, result.site, result.digest)


@pytest.mark.parametrize(('name', 'line', 'message'), BAD, ids=[row[0] for row in BAD])
def test_bad(name: str, line: str, message: str) -> None:
    result = validate((SITES / 'bad' / name).read_bytes())
    assert not result.ok
    assert result.site is None
    assert result.canonical is None
    said = [(one.line, one.message) for one in result.problems]
    assert any(where == int(line) and message in text for where, text in said), said


def test_every_bad_file_is_in_the_table() -> None:
    assert sorted(path.name for path in (SITES / 'bad').iterdir()) == sorted(row[0] for row in BAD)
    assert len(BAD) + len(GOOD) >= 300


def test_the_corpus_is_what_its_script_writes(tmp_path: Path) -> None:
    for script in SITES.glob('*.py'):
        shutil.copy(script, tmp_path)
    subprocess.run([sys.executable, '-B', tmp_path / 'make.py'], check=True)
    for path in [*SITES.rglob('*.yaml'), SITES / 'expected.tsv']:
        assert (tmp_path / path.relative_to(SITES)).read_bytes() == path.read_bytes(), path


@pytest.mark.parametrize('name', ['base', 'small', 'wifi-psk-signs'])
def test_a_cut_file_is_never_taken(name: str) -> None:
    whole = (SITES / 'good' / f'{name}.yaml').read_bytes()
    taken = [size for size in range(len(whole)) if validate(whole[:size]).ok]
    assert taken == []


@pytest.mark.slow
@pytest.mark.parametrize('path', GOOD, ids=lambda path: path.stem)
def test_no_good_file_is_taken_when_it_was_cut(path: Path) -> None:
    whole = path.read_bytes()
    # What follows the line `...` may be missing.
    end = whole.rindex(b'\n...\n') + 5
    assert [size for size in range(end) if validate(whole[:size]).ok] == []


def test_many_problems_are_told_at_once_and_in_order() -> None:
    text = (SITES / 'good/base.yaml').read_text().replace('GB', 'gb').replace('format: 1', 'format: 2')
    problems = validate(text.replace('keep', 'wipe').encode()).problems
    assert [one.line for one in problems] == [1, 23, 35]


@pytest.mark.parametrize('line', ['{}: 1\n', '  - {}\n', 'x{}:\n', '"\n', '&\n'])
def test_a_flood_of_problems_is_bounded(line: str) -> None:
    text = 'format: 2\n' + ''.join(line.format(f'k{one}') for one in range(64 * 1024 // (len(line) + 5))) + '...\n'
    assert 1 <= len(validate(text.encode()).problems) <= 30


@pytest.mark.parametrize(
    'text',
    ['a: ' + ' ' * 65000 + 'x', 'a' * 65000, "a: '" + "''" * 32000, '- ' * 32000, 'a:' * 32000],
    ids=['spaces', 'key', 'quotes', 'dashes', 'colons'],
)
def test_a_long_line_takes_no_time(text: str) -> None:
    start = time.process_time()
    assert not validate(f'{text}\n...\n'.encode()).ok
    assert time.process_time() - start < 1


@pytest.mark.parametrize(
    ('key', 'hint'),
    [
        ('hostnam', 'did you mean `hostname`?'),
        ('Timezone', 'did you mean `timezone`?'),
        ('zebra', 'known here: format'),
    ],
)
def test_unknown_keys_have_a_hint(key: str, hint: str) -> None:
    text = (SITES / 'good/base.yaml').read_text().replace('data:\n  existing', f'{key}: x\ndata:\n  existing')
    (problem,) = validate(text.encode()).problems
    assert problem.hint.startswith(hint)


def test_messages_hold_no_control_characters() -> None:
    text = (SITES / 'good/base.yaml').read_text().replace('GB', r'"\u001b[2J\u202e"').replace('London', 'L\u202e')
    for problem in validate(text.encode()).problems:
        assert (problem.message + problem.hint).isprintable()


def test_a_file_whose_canonical_spelling_is_too_long_is_refused() -> None:
    admins = ''.join(
        f'- name: a{one}\n  keys:\n' + ''.join(f'  - {ed25519(one * 16 + key)} {"c" * 64}\n' for key in range(16))
        for one in range(26)
    )
    text = f'format: 1\nname: G\nhostname: g\nadmins:\n{admins}unlock:\n  method: card\n...\n'.encode()
    assert len(text) <= 64 * 1024
    (problem,) = validate(text).problems
    assert 'canonical spelling' in problem.message


def ed25519(number: int) -> str:
    """A public key of which nobody has the private one."""
    head = b'\0\0\0\x0bssh-ed25519\0\0\0\x20'
    return 'ssh-ed25519 ' + base64.b64encode(head + number.to_bytes(32, 'big')).decode()
