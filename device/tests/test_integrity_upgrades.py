"""A month of signed upgrades raises nothing, and what comes beside them does: with real dpkg and apt in a folder."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from written import build, check, edit, written

from amslpr_device.context import Context
from amslpr_device.integrity import state, tree, upgrade

pytestmark = pytest.mark.slow


@pytest.fixture
def image(tmp_path: Path) -> Context:
    return written(tmp_path)


@pytest.fixture
def packaged(image: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    """The device with an empty dpkg and an apt whose one archive is a folder; apt's hooks are the device's own."""
    for folder in ('var/lib/dpkg/info', 'var/lib/dpkg/updates', 'var/lib/apt/lists/partial', 'var/cache/apt/archives/partial',  # noqa: E501
                   'etc/apt/apt.conf.d', 'etc/apt/preferences.d', 'etc/apt/sources.list.d', 'var/log/apt'):  # fmt: skip
        image.at(folder).mkdir(parents=True, exist_ok=True)
    image.at('/var/lib/dpkg/status').write_text('')
    (tmp_path / 'archive').mkdir()
    source = f'deb [trusted=yes] file:{tmp_path}/archive ./\n'
    image.at('/etc/apt/sources.list').write_text(source)
    hook = tmp_path / 'hook'
    lines = [
        f'#!{sys.executable} -B',
        f'import sys; sys.path.insert(0, {str(Path(tree.__file__).parents[2])!r})',
        'from pathlib import Path',
        'from amslpr_device.context import Context',
        'from amslpr_device.integrity import command',
        f'sys.exit(command.main(sys.argv[1:], Context(Path({str(image.root)!r}))))',
    ]
    hook.write_text('\n'.join(lines) + '\n')
    hook.chmod(0o755)
    config = tmp_path / 'apt.conf'
    config.write_text(
        f'Dir "{image.root}";\nDir::State::status "{image.root}/var/lib/dpkg/status";\n'
        f'APT::Architecture "{arch()}";\nAPT::Sandbox::User "root";\n'
        f'DPkg::Options {{ "--root={image.root}"; "--force-script-chrootless"; "--force-not-root"; "--force-bad-path"; "--force-confdef"; "--force-confold"; }};\n'  # noqa: E501
        f'DPkg::Pre-Install-Pkgs {{ "{hook} before"; }};\n'
        f'DPkg::Post-Invoke {{ "{hook} after"; }};\n'
        f'DPkg::Tools::Options::{hook}::Version "3";\n'
        'Debug::NoLocking "true";\nAPT::Install-Recommends "false";\n#clear APT::Update::Post-Invoke-Success;\n'
    )
    monkeypatch.setenv('APT_CONFIG', str(config))
    return image


def arch() -> str:
    return subprocess.run(['dpkg', '--print-architecture'], capture_output=True, text=True, check=True).stdout.strip()


def package(
    ctx: Context,
    version: str,
    files: dict[str, str],
    *,
    conffiles: str = '',
    links: dict[str, str] | None = None,
    into: str = 'archive',
    script: str = '',
) -> Path:
    """Makes tool_VERSION.deb with those files, and the index of the archive."""
    place = ctx.root.parent / 'make'
    shutil.rmtree(place, ignore_errors=True)
    for path, text in files.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_text(text)
    for path, target in (links or {}).items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).symlink_to(target)
    control = place / 'DEBIAN'
    control.mkdir()
    fields = f'Package: tool\nVersion: {version}\nArchitecture: all\nMaintainer: x <x@x.example>\nDescription: x\n'
    (control / 'control').write_text(fields)
    sums = [
        f'{hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()}  {path}\n'
        for path, text in files.items()
        if f'/{path}' not in conffiles
    ]
    (control / 'md5sums').write_text(''.join(sums))
    if conffiles:
        (control / 'conffiles').write_text(conffiles)
    if script:
        (control / 'postinst').write_text(f'#!/bin/sh\n{script}\n')
        (control / 'postinst').chmod(0o755)
    folder = ctx.root.parent / into
    folder.mkdir(exist_ok=True)
    deb = folder / f'tool_{version}.deb'
    subprocess.run(['dpkg-deb', '--build', '--root-owner-group', place, deb], check=True, capture_output=True)
    if into == 'archive':
        data = deb.read_bytes()
        text = f'{fields}Filename: ./{deb.name}\nSize: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n'
        (folder / 'Packages').write_text(text)
    return deb


def apt(*arguments: str | Path) -> str:
    done = subprocess.run(['apt-get', '-y', '-q', *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


ONE = {'usr/bin/tool2': 'one\n', 'usr/share/tool/old': 'old\n', 'etc/tool.conf': 'setting = 1\n'}
TWO = {'usr/bin/tool2': 'two\n', 'usr/share/tool/new': 'new\n', 'etc/tool.conf': 'setting = 2\n'}
CONF = '/etc/tool.conf\n'


@pytest.fixture
def installed(packaged: Context) -> Context:
    """Version 1 is in the image."""
    package(packaged, '1', ONE, conffiles=CONF, links={'usr/lib/tool.so': 'tool.so.1'})
    apt('update')
    apt('install', 'tool')
    shutil.rmtree(state.folder(packaged))
    build(packaged)
    assert check(packaged) == {}
    return packaged


def upgrade_to(ctx: Context, version: str, files: dict[str, str], **more: object) -> str:
    time.sleep(1.1)
    package(ctx, version, files, conffiles=CONF, links={'usr/lib/tool.so': f'tool.so.{version}'}, **more)  # type: ignore[arg-type]
    apt('update')
    return apt('install', 'tool')


def test_upgrades_raise_nothing(installed: Context) -> None:
    said = upgrade_to(installed, '2', TWO)
    assert 'was moved on by' in said
    assert check(installed) == {} and check(installed, whole=True) == {}
    assert installed.at('/usr/bin/tool2').read_text() == 'two\n' and not installed.at('/usr/share/tool/old').exists()
    for version in ('3', '4', '5'):
        upgrade_to(installed, version, {**TWO, 'usr/bin/tool2': version})
    assert check(installed, whole=True) == {}
    time.sleep(1.1)
    apt('remove', 'tool')
    assert check(installed, whole=True) == {}


def test_an_upgrade_before_the_first_look_leaves_the_device_its_own(installed: Context) -> None:
    shutil.rmtree(state.folder(installed))
    edit('etc/hostname', 'gate\n')(installed)
    upgrade_to(installed, '2', TWO)
    assert check(installed) == {}
    edit('etc/hostname', 'other\n')(installed)
    assert check(installed) == {'etc/hostname': 'has other content'}


def test_an_edit_of_a_setting_that_an_upgrade_leaves_alone_stays_one(installed: Context) -> None:
    edit('etc/tool.conf', 'setting = evil\n')(installed)
    upgrade_to(installed, '2', TWO)
    assert check(installed)['etc/tool.conf'] == 'has other content'
    assert [path for path in check(installed) if not path.startswith('etc/tool.conf')] == []


def test_an_edit_beside_an_upgrade_is_found(installed: Context) -> None:
    edit('usr/bin/tool')(installed)
    upgrade_to(installed, '2', TWO)
    assert check(installed) == {'usr/bin/tool': 'has other content'}


def test_a_script_that_changes_what_is_not_its_own_is_found(installed: Context) -> None:
    upgrade_to(
        installed,
        '2',
        TWO,
        script=f'echo x >> {installed.root}/usr/bin/tool; echo y > {installed.root}/etc/ld.so.cache',
    )
    # What scripts of packages are known to make is taken in, and nothing else.
    assert check(installed) == {'usr/bin/tool': 'has other content'}


def test_an_edit_after_an_upgrade_is_found(installed: Context) -> None:
    upgrade_to(installed, '2', TWO)
    time.sleep(1.1)
    edit('usr/bin/tool2')(installed)
    edit('etc/ld.so.cache')(installed)
    assert check(installed) == {'usr/bin/tool2': 'has other content', 'etc/ld.so.cache': 'is new'}


def test_a_package_that_no_index_has_is_found(installed: Context) -> None:
    time.sleep(1.1)
    local = package(installed, '2', TWO, conffiles=CONF, into='local')
    apt('install', local)
    assert installed.at('/usr/bin/tool2').read_text() == 'two\n'
    assert check(installed)['usr/bin/tool2'] == 'has other content'


def test_a_package_with_the_version_of_the_index_and_other_content_is_found(installed: Context) -> None:
    time.sleep(1.1)
    package(installed, '2', TWO, conffiles=CONF)
    apt('update')
    other = package(installed, '2', {**TWO, 'usr/bin/tool2': 'evil\n'}, conffiles=CONF, into='local')
    apt('install', other)
    assert check(installed)['usr/bin/tool2'] == 'has other content'


def test_dpkg_by_hand_is_found(installed: Context) -> None:
    time.sleep(1.1)
    deb = package(installed, '2', TWO, conffiles=CONF)
    options = [f'--root={installed.root}', '--force-script-chrootless', '--force-not-root', '--force-bad-path']
    subprocess.run(['dpkg', *options, '-i', deb], check=True, capture_output=True)
    assert check(installed)['usr/bin/tool2'] == 'has other content'


def test_apt_in_another_form_is_refused(packaged: Context) -> None:
    with pytest.raises(Exception, match='another form'):
        upgrade.before(packaged, 'VERSION 2\n\n')


def test_a_diverted_file_is_looked_at_where_it_is(installed: Context) -> None:
    options = [
        f'--root={installed.root}',
        '--local',
        '--rename',
        '--divert',
        '/usr/bin/tool2.distrib',
        '--add',
        '/usr/bin/tool2',
    ]
    subprocess.run(['dpkg-divert', *options], check=True, capture_output=True)
    edit('usr/bin/tool2', 'ours\n')(installed)
    build(installed)
    shutil.rmtree(state.folder(installed), ignore_errors=True)
    assert check(installed) == {}
    upgrade_to(installed, '2', TWO)
    assert installed.at('/usr/bin/tool2.distrib').read_text() == 'two\n'
    assert check(installed, whole=True) == {}
