"""A site file that is not good: refused with place and reason, nothing made, and a corrected one is taken."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import site_text, tree

from amslpr_device import runner, site_file, status
from amslpr_device.context import Context

BAD = Path(__file__).parents[2] / 'test/fixtures/sites/bad'
# What a device that waits for its site file writes: about itself, and what it waits for. No secret is among them.
ALLOWED = {'entropy.json', 'identity.json', 'STATUS.TXT', 'status.json'}
FILES = {
    'name-escape.yaml': ('line 2: ', 'at most 64'),
    'bytes-too-big.yaml': ('the whole file: ', 'more than 65536 bytes'),
    'bytes-nul.yaml': ('line 4: ', 'NUL byte'),
    'bytes-utf-16.yaml': ('the whole file: ', 'UTF-16'),
    'cut-middle.yaml': ('line 21: ', 'the last line is not `...`'),
}


# Real age, openssl and ssh-keygen for the good file.
@pytest.mark.slow
@pytest.mark.parametrize(('name', 'place', 'reason'), [(name, *told) for name, told in FILES.items()])
def test_it_is_refused_and_a_corrected_one_is_taken(
    quick: Context, admin_key: Path, capsys: pytest.CaptureFixture[str], name: str, place: str, reason: str
) -> None:
    (quick.boot / 'site.yaml').write_bytes((BAD / name).read_bytes())
    before = tree(quick.root)
    for phase in runner.PHASES:
        assert runner.run(Context(quick.root), phase) == 0
    now = status.current(quick)
    assert (now['state'], now['step']) == ('waiting', 'site')
    for told in ((quick.boot / 'STATUS.TXT').read_text(), capsys.readouterr().out):
        line = next(line for line in told.splitlines() if line.startswith(place))
        assert reason in line and line.isprintable()
        assert 'line 0' not in told and 'correct the file, then start the device again' in told
    # No account, key, bundle or accepted site.
    changed = {Path(path).name for path, found in tree(quick.root).items() if before.get(path) != found}
    assert changed <= ALLOWED

    (quick.boot / 'site.yaml').write_text(site_text(admin_key))
    for phase in runner.PHASES:
        assert runner.run(Context(quick.root), phase) == 0, status.current(quick)
    assert status.current(quick)['state'] == 'ready'
    assert (quick.boot / 'STATUS.TXT').read_text().splitlines()[2] == 'gate-north: ready'


@pytest.mark.parametrize(
    ('name', 'place'),
    [('cut-middle.yaml', ':21:1: '), ('bytes-nul.yaml', ':4: '), ('bytes-utf-16.yaml', ': the whole file: ')],
)
def test_the_command_names_the_place(capsys: pytest.CaptureFixture[str], name: str, place: str) -> None:
    assert site_file.main([str(BAD / name)]) == 1
    assert f'{BAD / name}{place}the ' in capsys.readouterr().err
