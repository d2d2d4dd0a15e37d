"""Starts that came to no end: the count, the generator, and what is said. The scripts are the image's own."""

import os
import subprocess
from pathlib import Path

import pytest

from amslpr_device import rescue, status
from amslpr_device.context import Context

OVERLAYS = Path(__file__).parents[2] / 'overlays' / 'rescue'
SCRIPT = OVERLAYS / 'usr/lib/amslpr/boot-attempts'
GENERATOR = OVERLAYS / 'etc/systemd/system-generators/amslpr-rescue'


@pytest.fixture
def ctx(tmp_path: Path) -> Context:
    found = Context(tmp_path)
    found.at(rescue.FOLDER).mkdir(parents=True)
    found.run_folder.mkdir(parents=True)
    return found


def script(ctx: Context, source: Path, *arguments: str) -> None:
    text = source.read_text().replace('/var/lib/', f'{ctx.root}/var/lib/')
    subprocess.run(['sh', '-c', text, 'script', *arguments], check=True)


def leads_to_rescue(ctx: Context) -> bool:
    early = ctx.root / 'early'
    early.mkdir(exist_ok=True)
    (early / 'default.target').unlink(missing_ok=True)
    script(ctx, GENERATOR, '/none', str(early), '/none')
    target = early / 'default.target'
    return target.is_symlink() and os.readlink(target) == '/etc/systemd/system/amslpr-rescue.target'


def test_three_starts_without_an_end_lead_to_rescue(ctx: Context) -> None:
    for start in (1, 2, 3):
        assert not leads_to_rescue(ctx)
        script(ctx, SCRIPT, 'begin')
        assert rescue.attempts(ctx) == start
    assert leads_to_rescue(ctx)


def test_a_start_that_came_to_its_end_is_forgotten(ctx: Context) -> None:
    for _ in range(5):
        script(ctx, SCRIPT, 'begin')
        rescue.settled(ctx)
        assert os.listdir(ctx.at(rescue.FOLDER)) == []
    rescue.settled(ctx)
    assert not leads_to_rescue(ctx)


def test_a_retry_is_one_normal_start(ctx: Context) -> None:
    for _ in range(4):
        script(ctx, SCRIPT, 'begin')
    script(ctx, SCRIPT, 'retry')
    assert not leads_to_rescue(ctx)
    script(ctx, SCRIPT, 'begin')
    assert leads_to_rescue(ctx)


@pytest.mark.parametrize('content', ['', 'x', '-1', '3 4', '3\n3', '99999', '$(reboot)'])
def test_a_torn_count_is_none(ctx: Context, content: str) -> None:
    (ctx.at(rescue.FOLDER) / 'attempts').write_text(content)
    script(ctx, SCRIPT, 'begin')
    assert rescue.attempts(ctx) == 1


def test_rescue_says_why(ctx: Context, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(3):
        script(ctx, SCRIPT, 'begin')
    assert rescue.say(ctx) == 0
    now = status.current(ctx)
    assert now['state'] == 'rescue'
    assert now['message'].startswith('3 starts in a row came to no end.')
    assert 'rescue end' in now['hint']
    (ctx.run_folder / 'rescue-reason').write_text('A part failed (emergency mode).\n')
    rescue.say(ctx)
    assert status.current(ctx)['message'].startswith('A part failed (emergency mode).')
    assert 'A part failed' in capsys.readouterr().out
