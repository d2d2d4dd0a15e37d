"""Both phases together, the second run, and what people ask of the device."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import decrypt, tree

from amslpr_device import audit, cli, runner, service, status
from amslpr_device.context import Context
from amslpr_device.files import write
from amslpr_device.integrity import names

# Real cryptsetup, age, databases, networks: with all others in ci/test, not before each commit.
pytestmark = pytest.mark.slow


def test_first_boot_then_nothing(device: Context, admin_key: Path) -> None:
    assert runner.run(device, 'first-boot') == 0, status.current(device)
    assert (device.state / 'ssh-ready').exists()
    assert not (device.state / 'data.json').exists()
    assert runner.run(device, 'provision') == 0, status.current(device)
    assert status.current(device)['state'] == 'ready'
    secret = json.loads(decrypt(device, admin_key))
    everywhere = b'\0'.join(content for _, content in tree(device.root).values())
    for text in (secret['luks_recovery_key'], secret['application_admin_password'], secret['sudo_passwords']['alex']):
        assert text.encode() not in everywhere
    before = {name: found for name, found in tree(device.root).items() if '/run/' not in name}
    for phase in runner.PHASES:
        again = Context(device.root)
        assert runner.run(again, phase) == 0
    assert {name: found for name, found in tree(device.root).items() if '/run/' not in name} == before


def test_what_it_makes_is_known_to_the_comparison_with_the_image(device: Context) -> None:
    before = tree(device.root)
    for phase in runner.PHASES:
        assert runner.run(device, phase) == 0
    changed = [name for name, found in tree(device.root).items() if before.get(name) != found]
    made = {str(Path(name).relative_to(device.root)) for name in changed}
    compared = {name for name in made if name.partition('/')[0] in ('boot', 'etc', 'opt', 'usr')}
    # Wi-Fi, names and all else of this site are among them.
    assert {'etc/modprobe.d/amslpr-wifi-country.conf', 'etc/hostname', 'boot/firmware/report.json'} <= compared
    assert {name for name in compared if not (names.own(name) or names.ignored(name))} == set()


@pytest.mark.parametrize('name', [*runner.FIRST_BOOT, *runner.PROVISION])
def test_a_cut_after_any_step_is_gone_on_from(quick: Context, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = runner.step(name)
    make = module.make

    def cut(ctx: Context) -> None:
        make(ctx)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, 'make', cut)
        try:
            for phase in runner.PHASES:
                runner.run(quick, phase)
        except KeyboardInterrupt:
            pass
    for phase in runner.PHASES:
        again = Context(quick.root)
        assert runner.run(again, phase) == 0, status.current(quick)
    assert status.current(quick)['state'] == 'ready'


def test_status_for_people_and_programs(device: Context, capsys: pytest.CaptureFixture[str]) -> None:
    runner.run(device, 'first-boot')
    capsys.readouterr()
    code, text = service.answer(device, 'status')
    found = json.loads(text)
    assert (code, found['hostname'], found['unlock'], found['data']) == (0, 'gate-north', 'card', 'not made')
    assert 'Recovery: unproven' in cli.readable(text)


def test_the_order_of_steps_is_shown(device: Context) -> None:
    order = (*runner.FIRST_BOOT, *runner.PROVISION)
    status.tell(device, status.Status('waiting', 'data', 'No passphrase yet.'))
    found = service.facts(device)
    assert [*found['steps']['done'], 'data', *found['steps']['next']] == list(order)
    text = cli.readable(json.dumps(found))
    assert f'Step {order.index("data") + 1} of {len(order)}: data. Still to do: sudo-passwords, ' in text
    status.tell(device, status.Status('ready'))
    assert service.facts(device)['steps'] == {'done': list(order), 'now': [], 'next': []}
    assert 'Step ' not in cli.readable(json.dumps(service.facts(device)))


def test_the_bundle_is_proven_by_its_code(device: Context, admin_key: Path) -> None:
    for phase in runner.PHASES:
        runner.run(device, phase)
    code = json.loads(decrypt(device, admin_key))['proof_code']
    assert cli.prove(device, 'ffffffff' if code != 'ffffffff' else '0') == 1
    assert service.facts(device)['recovery'] == 'unproven'
    assert cli.prove(device, code) == 0
    assert service.facts(device)['recovery'] == 'proven'


@pytest.mark.parametrize('verb', ['audit', 'first-boot', 'backup create', 'prove', '', 'status; id'])
def test_the_service_answers_nothing_else(ctx: Context, verb: str) -> None:
    code, text = service.answer(ctx, verb)
    assert code == 2
    assert 'the service answers' in text


@pytest.mark.parametrize('line', [b'', b'null\n', b'[]\n', b'{"verb"\n', b'\xff\n', b'{"verb": 1}\n'])
def test_the_service_survives_any_question(
    ctx: Context, line: bytes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import io

    monkeypatch.setattr(sys, 'stdin', io.TextIOWrapper(io.BytesIO(line)))
    assert service.serve(ctx) == 0
    assert json.loads(capsys.readouterr().out)['exit'] == 2


def test_a_passphrase_has_bounds(ctx: Context) -> None:
    write(ctx.state / 'site.yaml', (ctx.boot / 'site.yaml').read_text().replace('method: card', 'method: passphrase'))
    for wrong in ('short', 'x' * 513):
        code, text = service.answer(ctx, 'unlock', wrong)
        assert (code, '12 to 512' in text) == (1, True)
    assert not (ctx.run_folder / 'passphrase').exists()


def question(**changes: Any) -> dict[str, Any]:
    """A check that passes."""
    return {'id': 'x/y', 'title': 'It holds', 'guide': [5], 'run': ['echo', 'one\ntwo'], 'exit': 0, **changes}


@pytest.mark.parametrize(
    ('changes', 'outcome'),
    [
        ({}, 'pass'),
        ({'matches': ['(?m)^two$']}, 'pass'),
        ({'matches': ['^two$']}, 'fail'),
        ({'lacks': ['three']}, 'pass'),
        ({'lacks': ['one']}, 'fail'),
        ({'exit': 1}, 'fail'),
        ({'run': ['false'], 'exit': 1}, 'pass'),
        ({'run': ['no-such-program']}, 'fail'),
        ({'run': ['sh', '-c', 'echo seen >&2'], 'matches': ['seen']}, 'pass'),
    ],
)
def test_answers_of_the_audit(changes: dict[str, Any], outcome: str) -> None:
    (result,) = audit.answers([question(**changes)])
    assert result['outcome'] == outcome
    assert result['evidence']
    assert ('expected' in result) == (outcome == 'fail')


def test_questions_about_data_wait_until_it_is_open(ctx: Context, capsys: pytest.CaptureFixture[str]) -> None:
    questions = [question(id='a/always'), question(id='a/open', when='data-open', exit=9)]
    ctx.at('/usr/share/amslpr').mkdir(parents=True)
    ctx.at('/usr/share/amslpr/checks.json').write_text(json.dumps(questions))
    assert audit.main(['--json'], ctx) == 0
    assert [one['id'] for one in json.loads(capsys.readouterr().out)] == ['a/always']


def test_stages_that_are_named_are_asked_alone(ctx: Context, capsys: pytest.CaptureFixture[str]) -> None:
    questions = [question(id='a/one'), question(id='b/bad', exit=9), question(id='c/three')]
    ctx.at('/usr/share/amslpr').mkdir(parents=True)
    ctx.at('/usr/share/amslpr/checks.json').write_text(json.dumps(questions))
    assert audit.main(['c', '--json', 'a'], ctx) == 0
    assert [one['id'] for one in json.loads(capsys.readouterr().out)] == ['a/one', 'c/three']
    assert audit.main(['b'], ctx) == 3
    assert audit.main(['a', 'd'], ctx) == 2
    assert 'of: d. Known: a b c' in capsys.readouterr().err


def test_a_stage_asks_in_order_and_the_same_once(tmp_path: Path) -> None:
    count = f'echo asked >> {tmp_path}/count; wc -l < {tmp_path}/count'
    more = f'sleep 0.3; echo more >> {tmp_path}/count'
    asked = [['sh', '-c', count], ['sh', '-c', more], ['cat', f'{tmp_path}/count'], ['sh', '-c', count]]
    results = audit.answers([question(id=f'a/{index}', run=run) for index, run in enumerate(asked)])
    assert [one['id'] for one in results] == ['a/0', 'a/1', 'a/2', 'a/3']
    assert (tmp_path / 'count').read_text() == 'asked\nmore\n'
    assert 'asked\nmore' in results[2]['evidence'] and results[0]['evidence'] == results[3]['evidence']
