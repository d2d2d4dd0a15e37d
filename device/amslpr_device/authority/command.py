"""`amslpr-device tls request|install|show`: a certificate of the operator's own authority.

tls request            print a request for one (CSR, PEM), made with the device's key        (sudo)
tls install [FILE|-]   put the authority's certificate in place: PEM, then the intermediates (sudo)
tls show               the certificate that is in place                                      (no sudo)
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from amslpr_device import administration, certificate
from amslpr_device.authority import judge, read
from amslpr_device.context import Context, StepError
from amslpr_device.files import write
from amslpr_device.steps import tls

CLOSED = ('there is no TLS key', 'open the data partition: amslpr-device unlock')
WAITS = (
    'The request for a certificate of your authority waits (tls: mode: csr). '
    'Next: sudo amslpr-device tls request, then tls install'
)
Work = Callable[[], None]


def main(ctx: Context, rest: list[str]) -> int:
    """Returns the exit code: 1 when nothing was changed that should have been."""
    verb, files = rest[0], rest[1:]
    if len(files) > (1 if verb == 'install' else 0):
        print(__doc__, file=sys.stderr)
        return 2
    if administration.lacks_sudo(ctx, f'tls {verb}'):
        return 1
    try:
        if verb == 'request':
            sys.stdout.write(request(ctx).decode())
        else:
            raw = given(files[0] if files else '-')
            print(install(ctx, raw, lambda: test_nginx(ctx), lambda: certificate.reload_nginx(ctx)), end='')
    except StepError as error:
        print(f'amslpr-device tls: {error.message}', file=sys.stderr)
        if error.hint:
            print(f'Next: {error.hint}', file=sys.stderr)
        return 1
    return 0


def request(ctx: Context) -> bytes:
    """A request for the site's names and the addresses of now; in mode csr the one beside the key is made anew too."""
    folder = ctx.at(tls.FOLDER)
    our_key(ctx)
    with tempfile.TemporaryDirectory(dir=ctx.run_folder) as place:
        made = tls.request(ctx, folder / 'key.pem', Path(place)).read_bytes()
    if ctx.site.get('tls', {}).get('mode') == 'csr':
        write(folder / 'request.csr', made, 0o644)
    return made


def our_key(ctx: Context) -> bytes:
    """The public part of the device's key; raises StepError without one."""
    public = tls.public_key(ctx, ctx.at(tls.FOLDER) / 'key.pem')
    if not ctx.site or not public:
        raise StepError(*CLOSED)
    return public


def given(name: str) -> bytes:
    """What the file or standard input has, and no more than can be good."""
    if name == '-':
        if sys.stdin.isatty():
            print('Paste the certificate and its intermediates (PEM), then press Ctrl-D:', file=sys.stderr)
        return sys.stdin.buffer.read(read.MOST_BYTES + 1)
    try:
        with open(name, 'rb') as file:
            return file.read(read.MOST_BYTES + 1)
    except OSError as error:
        raise StepError(f'{name} cannot be read: {error.strerror}', 'give the file that the authority sent') from error


def install(ctx: Context, raw: bytes, test: Work, reload: Work) -> str:
    """Puts a certificate in place when nothing is wrong with it and nginx takes it, and says what is there now."""
    public = our_key(ctx)
    path = ctx.at(tls.FOLDER) / 'cert.pem'
    if path.with_name('acme.json').exists():
        raise StepError(
            'the certificate is renewed by a public authority, which would replace this one',
            'end that first: sudo amslpr-device tls private',
        )
    chain, wrong, notes = judge.judge(ctx, raw, public)
    if wrong:
        faults = ''.join(f'\n- {one}' for one in wrong)
        raise StepError(f'this certificate cannot be used, and nothing was changed:{faults}')
    whole = b''.join(part.pem for part in chain)
    mark = ctx.run_folder / certificate.MARK
    with certificate.alone(ctx):
        before = path.read_bytes() if path.is_file() else None
        said = 'The certificate was in place already: nothing was changed'
        if whole != before:
            said = 'The certificate is in place, and nginx has it'
            mark.touch()
            write(path, whole, 0o644)
        # Or an earlier run did not come as far as nginx.
        if mark.exists():
            take(path, before, test, reload, mark)
    return '\n'.join([said, *told(ctx, chain[0]), *notes, ''])


def take(path: Path, before: bytes | None, test: Work, reload: Work, mark: Path) -> None:
    """Has nginx read what is in place; when it does not, what was there before goes back."""
    try:
        test()
        reload()
    except StepError as error:
        if before is not None:
            write(path, before, 0o644)
        # When nginx cannot be told of that either, the mark stays, and the nightly run tells it.
        with suppress(StepError):
            test()
            reload()
            mark.unlink()
        raise StepError(
            f'nginx does not take it, and the earlier certificate is in place again. {error.message}',
            'sudo nginx -t says whether something else is wrong with its settings',
        ) from error
    mark.unlink()


def test_nginx(ctx: Context) -> None:
    """Raises StepError with what nginx finds wrong."""
    ctx.run(['nginx', '-t', '-q'])


def shown(ctx: Context) -> tuple[int, str]:
    """The answer to `tls show`."""
    try:
        return 0, show(ctx)
    except StepError as error:
        return 1, f'{error.message}. Next: {error.hint}\n'


def show(ctx: Context) -> str:
    """The certificate in place, for people."""
    path = ctx.at(tls.FOLDER) / 'cert.pem'
    public = our_key(ctx)
    blocks, _ = read.split(path.read_bytes() if path.is_file() else b'')
    if not blocks:
        raise StepError('there is no certificate', 'it is made at a start: sudo systemctl restart amslpr-provision')
    leaf = read.read(ctx, blocks[0])
    wrong = ['It is for another key than the device has'] if leaf.key != public else []
    if waits(ctx):
        wrong.append(WAITS)
    return '\n'.join([*told(ctx, leaf), *wrong, ''])


def told(ctx: Context, leaf: read.Certificate) -> list[str]:
    """Whose certificate it is, and by what it is recognised."""
    alert = f'{leaf.ends - timedelta(seconds=certificate.FOREIGN):%Y-%m-%d}'
    if leaf.is_own:
        whose, renewal = "the device's own", 'by the device'
    elif ctx.at(f'{tls.FOLDER}/acme.json').exists():
        whose, renewal = 'of a public authority', f'by the device; an alert from {alert} on when that fails'
    else:
        whose, renewal = 'of an authority of yours', f'by you: tls request, tls install; an alert from {alert} on'
    return [
        f'Certificate:      {whose}',
        f'Subject:          {leaf.subject}',
        f'Issuer:           {leaf.issuer}',
        f'Names:            {", ".join(leaf.names) or "none"}',
        f'Good:             {leaf.begins:{judge.SPOKEN}} to {leaf.ends:{judge.SPOKEN}}',
        f'SHA-256:          {leaf.fingerprint}',
        f'SHA-256 of key:   {leaf.key_digest}',
        f'Renewed:          {renewal}',
    ]


def waits(ctx: Context) -> bool:
    """Whether the site file wants a certificate of an authority and there is none yet."""
    if ctx.site.get('tls', {}).get('mode') != 'csr':
        return False
    folder = ctx.at(tls.FOLDER)
    public = tls.public_key(ctx, folder / 'key.pem')
    return bool(public) and not certificate.is_foreign(ctx, folder / 'cert.pem', public)
