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


@pytest.fixture
def sshd(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether sshd runs: the last of the list."""
    found = [True]
    monkeypatch.setattr(rescue, 'sshd_runs', lambda ctx: found[-1])
    return found


def test_rescue_says_why(ctx: Context, sshd: list[bool], capsys: pytest.CaptureFixture[str]) -> None:
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


def boot_partition(ctx: Context, text: str = 'AMSLPR device\n\nnever started\n') -> Path:
    path = ctx.boot / 'STATUS.TXT'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.ljust(4096, '\n'))
    return path


def test_nobody_is_sent_to_an_sshd_that_does_not_run(ctx: Context, sshd: list[bool]) -> None:
    sshd.append(False)
    path = boot_partition(ctx)
    rescue.say(ctx)
    text = path.read_text()
    assert 'SSH does not run either' in text
    assert 'log in by SSH' not in text
    assert 'write the card anew' in text


def test_the_cause_of_this_start_is_kept(ctx: Context, sshd: list[bool]) -> None:
    path = boot_partition(ctx)
    status.tell(ctx, status.Status('failed', 'firewall', 'the rules\nare damaged', 'write the card anew'))
    rescue.say(ctx)
    assert 'Said before: failed at firewall: the rules are damaged\n' in path.read_text()


@pytest.mark.parametrize('name', ['', 'gate-north: '])
def test_the_cause_of_an_earlier_start_is_kept_however_often_rescue_starts(
    ctx: Context, sshd: list[bool], name: str
) -> None:
    path = boot_partition(ctx, f'AMSLPR device\n\n{name}failed at data\nthe card has an error\nNext: another card\n')
    for _ in range(3):
        (ctx.run_folder / 'status.json').unlink(missing_ok=True)
        rescue.say(ctx)
        assert path.read_text().count('Said before: failed at data: the card has an error\n') == 1


@pytest.mark.parametrize('text', ['never started\n', 'gate: ready\n', 'gate: waiting at data\nNo passphrase yet.\n'])
def test_what_is_over_is_no_cause(ctx: Context, sshd: list[bool], text: str) -> None:
    path = boot_partition(ctx, f'AMSLPR device\n\n{text}')
    rescue.say(ctx)
    assert 'Said before' not in path.read_text()


def test_a_count_that_the_first_boot_cleared_is_no_nought(ctx: Context, sshd: list[bool]) -> None:
    rescue.say(ctx)
    assert status.current(ctx)['message'].startswith('Three starts in a row')


def to_rescue(ctx: Context, says: str) -> tuple[str, list[str]]:
    """What the script prints when nothing works, and what it starts; the device's program writes `says`."""
    programs = ctx.root / 'bin'
    programs.mkdir()
    log = ctx.root / 'started'
    note = f'echo "${{0##*/}} $*" >> {log}'
    for name, more in (
        ('systemctl', 'case "$*" in *isolate*) exit 1;; esac'),
        ('sleep', ''),
        ('timeout', 'shift; exec "$@"'),
        ('amslpr-device', says),
    ):
        (programs / name).write_text(f'#!/bin/sh\n{note}\n{more}\n')
        (programs / name).chmod(0o755)
    text = (OVERLAYS / 'usr/lib/amslpr/to-rescue').read_text().replace('/usr/sbin/', f'{programs}/')
    for folder in ('/run/', '/boot/firmware/', '/usr/lib/systemd/'):
        text = text.replace(folder, f'{ctx.root}{folder}')
    (ctx.at('/usr/lib/systemd/system')).mkdir(parents=True)
    (ctx.at('/usr/lib/systemd/system') / 'local-fs.target').write_text('[Unit]\nOnFailure=emergency.target\n')
    path = f'{programs}:{os.environ["PATH"]}'
    done = subprocess.run(
        ['sh', '-c', text, 'to-rescue', 'emergency'], env={'PATH': path}, capture_output=True, text=True, check=False
    )
    return done.stdout, log.read_text().splitlines()


def test_where_rescue_does_not_start_the_led_and_status_txt_say_so(ctx: Context) -> None:
    path = boot_partition(ctx)
    said, started = to_rescue(ctx, f'printf "AMSLPR device\\n\\nrescue\\n" > {path}')
    assert 'STATUS.TXT on its first partition says what is wrong' in said
    assert started.index('amslpr-device rescue') < started.index('sleep 300')
    assert started[-1] == 'systemctl --force reboot'
    assert 'emergency mode' in (ctx.run_folder / 'rescue-reason').read_text()
    assert 'OnFailure' not in ctx.at('/run/systemd/system/local-fs.target').read_text()


def test_nobody_is_sent_to_a_status_txt_that_says_nothing(ctx: Context) -> None:
    boot_partition(ctx)
    said, started = to_rescue(ctx, 'exit 1')
    assert 'The device restarts in five minutes' in said
    assert 'STATUS.TXT' not in said
    assert started[-1] == 'systemctl --force reboot'
