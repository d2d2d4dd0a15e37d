"""Signed site files, with real ssh-keygen: what is not clearly good is refused, with its reason where people look."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from conftest import site_text

from amslpr_device import runner, signature, status
from amslpr_device.context import Context
from amslpr_device.steps import site


def new_key(path: Path) -> Path:
    """A signer's key."""
    subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', str(path)], check=True)
    return path


def sign(key: Path, text: str, namespace: str = signature.NAMESPACE) -> str:
    """What ssh-keygen makes of it."""
    words = ['ssh-keygen', '-q', '-Y', 'sign', '-f', str(key), '-n', namespace]
    return subprocess.run(words, input=text, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def signer(ctx: Context, tmp_path: Path) -> Path:
    """The key of an image that was built with one signer."""
    key = new_key(tmp_path / 'signer')
    kind, data, *_ = key.with_suffix('.pub').read_text().split()
    ctx.at(signature.SIGNERS).parent.mkdir(parents=True)
    ctx.at(signature.SIGNERS).write_text(f'{signature.IDENTITY} namespaces="{signature.NAMESPACE}" {kind} {data}\n')
    return key


def put(ctx: Context, text: str, signed: str | None) -> None:
    """A site file and its signature."""
    (ctx.boot / 'site.yaml').write_text(text)
    (ctx.boot / signature.NAME).unlink(missing_ok=True)
    if signed is not None:
        (ctx.boot / signature.NAME).write_text(signed)


def refused(ctx: Context) -> str:
    """Starts the device, which must make nothing, and gives what STATUS.TXT says."""
    assert runner.run(Context(ctx.root), 'first-boot') == 0
    now = status.current(ctx)
    assert (now['state'], now['step']) == ('waiting', 'site')
    assert not (ctx.state / 'site.yaml').exists()
    assert not (ctx.state / 'ssh-ready').exists()
    assert not list(ctx.at('/etc/ssh').iterdir())
    text = (ctx.boot / 'STATUS.TXT').read_text()
    assert 'ssh-keygen -Y sign' in text
    return text


def test_a_signed_file_is_taken(ctx: Context, signer: Path, admin_key: Path) -> None:
    put(ctx, site_text(admin_key), sign(signer, site_text(admin_key)))
    site.make(ctx)
    assert site.product_ok(ctx)


def test_a_file_without_signature_is_refused(ctx: Context, signer: Path, admin_key: Path) -> None:
    put(ctx, site_text(admin_key), None)
    assert f'there is no {signature.NAME}' in refused(ctx)


@pytest.mark.parametrize('case', ['other key', 'other namespace', 'changed byte', 'empty', 'noise', 'cut', 'too long'])
def test_what_is_not_clearly_good_is_refused(
    ctx: Context, signer: Path, admin_key: Path, tmp_path: Path, case: str
) -> None:
    text = site_text(admin_key)
    good = sign(signer, text)
    offered, signed = {
        'other key': lambda: (text, sign(new_key(tmp_path / 'other'), text)),
        'other namespace': lambda: (text, sign(signer, text, 'file')),
        'changed byte': lambda: (text.replace('Gate North', 'Gate Morth'), good),
        'empty': lambda: (text, ''),
        'noise': lambda: (text, 'x' * 300),
        'cut': lambda: (text, good[: len(good) // 2]),
        'too long': lambda: (text, good + '\n' * signature.MAX_BYTES),
    }[case]()
    put(ctx, offered, signed)
    assert ('is no signature' if case == 'too long' else 'is not good') in refused(ctx)
    # The right one is picked up at the next start.
    put(ctx, text, good)
    assert runner.step('site').product_ok(ctx) is False
    site.make(ctx)
    assert site.product_ok(ctx)


def test_a_signature_cut_at_any_line_or_byte_of_its_end_is_refused(ctx: Context, signer: Path, admin_key: Path) -> None:
    text = site_text(admin_key)
    good = sign(signer, text).rstrip('\n')
    for size in {*range(0, len(good), 29), *range(len(good) - 4, len(good))}:
        put(ctx, text, good[:size])
        assert signature.wrong(ctx, text.encode()), size


@pytest.mark.parametrize('spoiled', ['empty', 'link to nothing', 'folder'])
def test_without_readable_signers_nothing_is_taken(ctx: Context, signer: Path, admin_key: Path, spoiled: str) -> None:
    path = ctx.at(signature.SIGNERS)
    path.unlink()
    if spoiled == 'empty':
        path.write_text('')
    elif spoiled == 'folder':
        path.mkdir()
    else:
        path.symlink_to('nothing')
    put(ctx, site_text(admin_key), sign(signer, site_text(admin_key)))
    assert 'is not good' in refused(ctx)


def test_a_signed_file_does_not_get_a_bad_one_through(ctx: Context, signer: Path, admin_key: Path) -> None:
    text = site_text(admin_key).replace('gate-north', 'Gate_North')
    put(ctx, text, sign(signer, text))
    assert runner.run(Context(ctx.root), 'first-boot') == 0
    assert 'line 3' in (ctx.boot / 'STATUS.TXT').read_text()


def test_an_unclaimed_device_takes_only_a_signed_change(
    device: Context, signer: Path, admin_key: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def boot() -> str:
        for phase in runner.PHASES:
            runner.run(Context(device.root), phase)
        return str(status.current(device)['state'])

    first, second = site_text(admin_key), site_text(admin_key).replace('gate-north', 'gate-south')
    put(device, first, sign(signer, first))
    assert boot() == 'ready'
    # Its secrets were taken out: the signature is no longer of this file, and need not be.
    assert boot() == 'ready'
    put(device, second, sign(signer, first))
    capsys.readouterr()
    assert boot() == 'ready'
    assert 'it is ignored. The signature of site.yaml is not good' in capsys.readouterr().out
    assert device.at('/etc/hostname').read_text() == 'gate-north\n'
    put(device, second, sign(signer, second))
    assert boot() == 'ready'
    assert device.at('/etc/hostname').read_text() == 'gate-south\n'


def test_an_image_without_signers_takes_any_file(ctx: Context, admin_key: Path) -> None:
    put(ctx, site_text(admin_key), None)
    site.make(ctx)
    assert site.product_ok(ctx)
