"""What the LED shows, against folders in the shape of /sys/class/leds."""

from __future__ import annotations

from pathlib import Path

import pytest

from amslpr_device import status
from amslpr_device.context import Context

MODULES = Path(__file__).parents[2] / 'overlays/first-boot/etc/modules-load.d/amslpr-led.conf'
# As a Pi 4 with Debian's kernel lists them, with and without the modules.
BUILT_IN = 'none kbd-scrolllock disk-activity mtd [heartbeat] cpu cpu0 panic mmc0'
WHOLE = f'{BUILT_IN} timer default-on'


def board(root: Path, *names: str, triggers: str = WHOLE) -> Context:
    """A device with these LEDs."""
    for name in names:
        folder = root / 'sys/class/leds' / name
        folder.mkdir(parents=True)
        (folder / 'trigger').write_text(triggers + '\n')
    return Context(root)


def shown(ctx: Context, name: str = 'ACT') -> tuple[str, ...]:
    """Trigger and times of an LED."""
    folder = ctx.at(f'/sys/class/leds/{name}')
    times = [folder / 'delay_on', folder / 'delay_off']
    return ((folder / 'trigger').read_text().strip(), *(path.read_text() for path in times if path.exists()))


@pytest.mark.parametrize(
    ('state', 'expected'),
    [
        ('working', ('heartbeat',)),
        ('waiting', ('timer', '900', '900')),
        ('failed', ('timer', '100', '100')),
        ('rescue', ('timer', '100', '1900')),
        ('ready', ('default-on',)),
    ],
)
def test_each_state_has_its_light(tmp_path: Path, state: str, expected: tuple[str, ...]) -> None:
    ctx = board(tmp_path, 'ACT')
    status.led(ctx, state)
    assert shown(ctx) == expected


def test_the_power_led_is_left_alone_beside_another_and_used_without(tmp_path: Path) -> None:
    both = board(tmp_path / 'both', 'ACT', 'PWR', 'mmc0::')
    status.led(both, 'failed')
    assert (shown(both), shown(both, 'PWR')) == (('timer', '100', '100'), (WHOLE,))
    alone = board(tmp_path / 'alone', 'PWR', 'mmc0::')
    status.led(alone, 'failed')
    assert shown(alone, 'PWR') == ('timer', '100', '100')


def test_a_board_without_an_led_has_nothing_to_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ctx = board(tmp_path, 'input0::capslock')
    status.led(ctx, 'failed')
    assert shown(ctx, 'input0::capslock') == (WHOLE,)
    assert capsys.readouterr().out == ''


def test_a_trigger_that_the_kernel_lacks_is_told_and_leaves_no_older_state(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ctx = board(tmp_path, 'ACT', triggers=BUILT_IN)
    status.led(ctx, 'failed')
    assert capsys.readouterr().out == 'amslpr: the LED cannot show failed: the kernel has no trigger timer\n'
    assert shown(ctx) == ('none',)


def test_a_file_that_cannot_be_written_is_told_and_stops_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ctx = board(tmp_path, 'ACT')
    ctx.at('/sys/class/leds/ACT/delay_on').mkdir()
    status.tell(ctx, status.Status('waiting', 'site', 'There is no site file.'))
    assert 'the LED cannot show waiting' in capsys.readouterr().out
    assert status.current(ctx)['state'] == 'waiting'


def test_every_trigger_is_loaded_or_in_every_kernel() -> None:
    loaded = {line.removeprefix('ledtrig-') for line in MODULES.read_text().split('\n') if line.startswith('ledtrig-')}
    assert set(status.LED.values()) - loaded == {'heartbeat'}
    assert loaded <= set(status.LED.values())
    assert set(status.BLINK) == {state for state, trigger in status.LED.items() if trigger == 'timer'}
