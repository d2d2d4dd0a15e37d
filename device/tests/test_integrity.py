"""A hand edit is found the same night, a month of signed upgrades is not: with real dpkg and apt in a folder."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from written import build, check, edit, written

from amslpr_device.context import Context
from amslpr_device.integrity import command, compare, state, tree, upgrade
from amslpr_device.monitor import command as monitor
from amslpr_device.monitor import facts


@pytest.fixture
def image(tmp_path: Path) -> Context:
    return written(tmp_path)


def test_an_untouched_device_is_as_it_was_built(image: Context, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(['check'], image) == 0
    assert 'none differ' in capsys.readouterr().out
    assert check(image, whole=True) == {}


def test_what_was_not_touched_since_the_image_is_not_read(image: Context) -> None:
    build(image, settled=True)
    found = compare.look(str(image.root), {}, {})
    # The boot partition, of two files here, has no times that can be trusted.
    assert found.read == 2 and found.differences == {}
    same_size_and_time(image)
    assert 'usr/bin/tool' in compare.look(str(image.root), {}, found.seen).differences


def test_only_what_was_touched_is_read(image: Context) -> None:
    check(image)
    found = compare.look(str(image.root), state.moved(image), state.seen(image))
    # The boot partition has no times that can be trusted: its one file is known by its mark.
    assert found.read == 0 and found.looked > 10
    image.at('/usr/bin/tool').touch()
    found = compare.look(str(image.root), state.moved(image), state.seen(image))
    assert found.read == 1 and found.differences == {}
    assert compare.look(str(image.root), state.moved(image), found.seen).read == 0


def same_size_and_time(ctx: Context) -> None:
    path = ctx.at('/usr/bin/tool')
    before = path.stat()
    path.write_text('TOOL 1\n')
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


EDITS: dict[str, tuple[Callable[[Context], object], str, str]] = {
    'content': (edit('etc/app.conf'), 'etc/app.conf', 'has other content'),
    'content of the same size and time': (same_size_and_time, 'usr/bin/tool', 'has other content'),
    'a mode': (lambda ctx: ctx.at('/usr/bin/tool').chmod(0o4755), 'usr/bin/tool', 'has mode 4755, not 0644'),
    'a new program': (edit('usr/bin/extra'), 'usr/bin/extra', 'is new'),
    'a new unit': (edit('etc/new.service'), 'etc/new.service', 'is new'),
    'a file less': (lambda ctx: ctx.at('/etc/app.conf').unlink(), 'etc/app.conf', 'is missing'),
    'the last file less': (lambda ctx: ctx.at('/usr/share/amslpr/integrity.json').unlink(), 'usr/share/amslpr/integrity.json', 'is missing'),  # noqa: E501
    'a folder less': (lambda ctx: shutil.rmtree(ctx.at('/opt/app')), 'opt/app/main.py', 'is missing'),
    'a link': (lambda ctx: [ctx.at('/etc/link').unlink(), ctx.at('/etc/link').symlink_to('/evil')], 'etc/link', 'leads elsewhere'),  # noqa: E501
    'a link for a file': (lambda ctx: [ctx.at('/etc/app.conf').unlink(), ctx.at('/etc/app.conf').symlink_to('x')], 'etc/app.conf', 'is another kind of file'),  # noqa: E501
    'the kernel command line': (edit('boot/firmware/cmdline.txt', 'init=/bin/sh\n'), 'boot/firmware/cmdline.txt', 'has other content'),  # noqa: E501
    'a preloaded library': (edit('etc/ld.so.preload'), 'etc/ld.so.preload', 'is new'),
    'an odd name': (edit('usr/lib/Größe \\ and space'), 'usr/lib/Größe \\ and space', 'has other content'),
    'a device': (lambda ctx: os.mkfifo(ctx.at('/usr/lib/pipe')), 'usr/lib/pipe', 'is new'),
}  # fmt: skip


@pytest.mark.parametrize('whole', [False, True])
@pytest.mark.parametrize('name', EDITS)
def test_a_hand_edit_is_found(name: str, whole: bool, image: Context) -> None:
    check(image)
    change, path, what = EDITS[name]
    change(image)
    found = check(image, whole=whole)
    assert path in found and what in found[path]
    # And it stays an alert: what differs is not seen as good the next night.
    assert check(image) == found


def test_the_first_look_takes_in_what_the_first_boot_made(image: Context) -> None:
    edit('etc/hostname', 'gate\n')(image)
    edit('etc/ssh/ssh_host_ed25519_key')(image)
    edit('etc/app.conf')(image)
    assert check(image) == {'etc/app.conf': 'has other content'}
    edit('etc/hostname', 'other\n')(image)
    assert check(image)['etc/hostname'] == 'has other content'


def test_an_upgrade_or_an_acceptance_before_the_first_look_keeps_nothing_out(
    image: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Context, 'succeeds', lambda self, arguments, **more: True)
    edit('etc/hostname', 'gate\n')(image)
    edit('etc/app.conf')(image)
    assert command.main(['accept', '/etc/app.conf'], image) == 0
    assert state.moved(image)
    assert check(image) == {}


def test_what_is_written_all_the_time_is_not_minded(image: Context) -> None:
    check(image)
    edit('boot/firmware/STATUS.TXT', 'ready\n')(image)
    edit('etc/resolv.conf', 'nameserver 192.0.2.53\n')(image)
    edit('usr/lib/x/__pycache__/data.cpython-313.pyc')(image)
    assert check(image) == {} and check(image, whole=True) == {}


def test_places_of_the_encrypted_partition_are_covered(image: Context) -> None:
    image.at('/usr/share/amslpr/data-binds.json').write_text('[{"path": "/etc/amslpr/ssl"}]')
    image.at('/etc/amslpr/ssl').mkdir(parents=True)
    build(image)
    shutil.rmtree(image.at('/etc/amslpr/ssl'))
    assert check(image) == {}


def test_it_becomes_an_alert_and_is_over_when_it_was_accepted(
    image: Context, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Context, 'succeeds', lambda self, arguments, **more: True)
    command.main(['check'], image)
    edit('etc/app.conf')(image)
    assert command.main(['check'], image) == 3
    (problem,) = facts.integrity(image, monitor.DEFAULTS, time.time())
    assert problem.key == 'integrity' and '/etc/app.conf has other content' in problem.text
    capsys.readouterr()
    assert command.main(['show'], image) == 0
    assert capsys.readouterr().out.endswith('1 differ, 0 checks failed\n')
    assert command.main(['accept', '/etc/app.conf', '/etc/link'], image) == 1
    assert '/etc/link does not differ' in capsys.readouterr().err
    assert list(facts.integrity(image, monitor.DEFAULTS, time.time())) == []
    assert check(image, whole=True) == {} and command.main(['show'], image) == 0
    assert capsys.readouterr().out.endswith('\n0 differ, 0 checks failed\n')
    edit('etc/app.conf', 'again\n')(image)
    assert list(check(image)) == ['etc/app.conf']


def test_the_monthly_audit_asks_the_image_and_stays_known(image: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    checks = [
        {'id': 'a/good', 'title': 'Good', 'run': ['true'], 'when': 'always'},
        {'id': 'a/bad', 'title': 'Bad', 'run': ['false'], 'when': 'always'},
    ]
    image.at('/usr/share/amslpr/checks.json').write_text(json.dumps(checks))
    build(image)
    assert command.main(['audit'], image) == 3
    assert command.main(['check'], image) == 3
    (problem,) = facts.integrity(image, monitor.DEFAULTS, time.time())
    assert problem.key == 'audit' and 'a/bad: Bad' in problem.text


@pytest.mark.parametrize('spoil', [lambda path: path.unlink(), lambda path: path.write_bytes(path.read_bytes()[:-40])])
def test_without_a_manifest_that_is_said(image: Context, spoil: Callable[[Path], object]) -> None:
    spoil(image.at(f'/{tree.MANIFEST}'))
    assert command.main(['check'], image) == 1
    (problem,) = facts.integrity(image, monitor.DEFAULTS, time.time())
    assert 'cannot be compared' in problem.text


def test_sums_of_layers_are_taken_for_what_is_not_above_them(image: Context, tmp_path: Path) -> None:
    above = tmp_path / 'above'
    (above / 'etc').mkdir(parents=True)
    (above / 'etc/app.conf').write_text('')
    sums = b'11  ./usr/bin/tool\0' + b'22  ./usr/bin/tool\0' + b'33  ./etc/app.conf\0'
    program = [sys.executable, '-B', tree.__file__, image.root, above, '5']
    subprocess.run(program, input=sums, check=True)
    lines = {one.path: one.sum for one in compare.manifest(str(image.root))}
    assert lines['usr/bin/tool'] == '22' and lines[''] == '5'
    assert lines['etc/app.conf'] == hashlib.sha256(b'a = 1\n').hexdigest()


def test_equal_trees_have_equal_manifests(image: Context) -> None:
    path = image.at(f'/{tree.MANIFEST}')
    run = [sys.executable, '-B', tree.__file__, image.root, '/nowhere', '5']
    subprocess.run(run, input=b'', check=True)
    first = path.read_bytes()
    subprocess.run(run, input=b'', check=True)
    assert path.read_bytes() == first
    names = [compare.tree.parse(line).path for line in gzip.decompress(first).decode().splitlines()[1:]]
    assert names == sorted(names, key=tree.order) and tree.MANIFEST not in names


@pytest.mark.parametrize(('package', 'expected'), [('tool', {'etc/tool.conf': 'aa'}), ('other', {})])
def test_files_of_ucf_are_of_their_package(image: Context, package: str, expected: dict[str, str]) -> None:
    image.at('/var/lib/ucf').mkdir()
    image.at('/var/lib/ucf/registry').write_text('tool /etc/tool.conf\nthird /etc/third.conf\n')
    image.at('/var/lib/ucf/hashfile').write_text('aa  /etc/tool.conf\nbb  /etc/third.conf\n')
    assert upgrade.ucf_files(image, package) == expected
