"""Unlock methods with real clevis, tangd, swtpm and cryptsetup.

A stick is a folder here: mounting one needs the guest.
"""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import decrypt, offer

from amslpr_device import cli, luks, unlock
from amslpr_device.context import Context, StepError, Waiting
from amslpr_device.steps import data, data_open
from amslpr_device.unlock import enrol, tang, tpm2, usb_key

# Real cryptsetup, age, databases, networks: with all others in ci/test, not before each commit.
pytestmark = pytest.mark.slow

KEY = bytes(range(32))
TANGD = '/usr/libexec/tangd'


class TangServer:
    """tangd for each connection, as systemd's socket does it; can be away and come back at the same port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        subprocess.run(['/usr/libexec/tangd-keygen', str(folder)], check=True)
        self.port = 0
        self.start()

    def start(self) -> None:
        """Listens."""
        listener = self.listener = socket.create_server(('127.0.0.1', self.port))
        self.port = listener.getsockname()[1]
        threading.Thread(target=self.serve, args=(listener,), daemon=True).start()

    def serve(self, listener: socket.socket) -> None:
        """Until it is closed."""
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                subprocess.run(
                    [TANGD, str(self.folder)],
                    stdin=connection.fileno(),
                    stdout=connection.fileno(),
                    stderr=subprocess.DEVNULL,
                    check=False,
                )

    def stop(self) -> None:
        """Is away."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def thumbprint(self) -> str:
        """Of its signing key."""
        for path in self.folder.glob('*.jwk'):
            if 'verify' in json.loads(path.read_text()).get('key_ops', []):
                return subprocess.run(
                    ['jose', 'jwk', 'thp', '-i', str(path), '-a', 'S256'], capture_output=True, text=True, check=True
                ).stdout.strip()
        raise AssertionError('tangd-keygen made no signing key')


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TangServer]:
    """A tang server with keys of its own."""
    made = TangServer(tmp_path_factory.mktemp('tang'))
    yield made
    made.stop()


def choose_tang(ctx: Context, server: TangServer, thumbprint: str = '') -> None:
    """The site's method, as the validator gives it."""
    found = {'url': f'http://127.0.0.1:{server.port}', 'thumbprint': thumbprint or server.thumbprint()}
    ctx.site['unlock'] = {'method': 'tang', 'tang': found}


def test_tang_gives_the_key_back_when_its_server_is_there(ctx: Context, server: TangServer) -> None:
    choose_tang(ctx, server)
    tang.ready(ctx)
    tang.keep(ctx, KEY, b'')
    assert KEY not in (ctx.state / tang.RECORD).read_bytes()
    assert tang.recall(ctx, b'') == KEY
    server.stop()
    with pytest.raises(Waiting, match='cannot be reached') as raised:
        tang.recall(ctx, b'')
    assert raised.value.again
    server.start()
    assert tang.recall(ctx, b'') == KEY


def test_another_tang_server_is_refused(
    ctx: Context, server: TangServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    choose_tang(ctx, server)
    tang.keep(ctx, KEY, b'')
    port = server.port
    server.stop()
    other = TangServer(tmp_path_factory.mktemp('other'))
    other.stop()
    other.port = port
    other.start()
    with pytest.raises(Waiting, match='no key with the thumbprint'):
        tang.recall(ctx, b'')
    with pytest.raises(Waiting, match='no key with the thumbprint'):
        tang.ready(ctx)
    # clevis itself refuses too, not only our look at it before.
    with pytest.raises(Waiting, match='did not take part'):
        tang.keep(ctx, KEY, b'')
    other.stop()
    server.start()
    assert tang.recall(ctx, b'') == KEY


def started(folder: Path) -> tuple[subprocess.Popen[bytes], str] | None:
    """swtpm and how to reach it; None when somebody else took one of its two ports."""
    with socket.create_server(('127.0.0.1', 0)) as probe:
        port = probe.getsockname()[1]
    where = [f'--{name}=type=tcp,port={port + more},bindaddr=127.0.0.1' for name, more in (('server', 0), ('ctrl', 1))]
    process = subprocess.Popen(
        ['swtpm', 'socket', '--tpm2', '--tpmstate', f'dir={folder}', '--flags', 'not-need-init,startup-clear', *where]
    )
    way = f'swtpm:host=127.0.0.1,port={port}'
    ask = ['tpm2_getcap', '-Q', '-T', way, 'properties-fixed']
    while process.poll() is None:
        if subprocess.run(ask, capture_output=True, check=False).returncode == 0:
            return process, way
        time.sleep(0.1)
    return None


@pytest.fixture
def chip(ctx: Context, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A software TPM. The kernel's resource manager, which takes objects out again, is not there: the tool does it."""
    folder = tmp_path_factory.mktemp('tpm')
    process, way = next(found for found in (started(folder) for _ in range(5)) if found is not None)
    monkeypatch.setattr(tpm2, 'tcti', lambda ctx: way)
    run = Context.run

    def flushed(self: Context, arguments: list[str], **options: object) -> bytes:
        try:
            return run(self, arguments, **options)  # type: ignore[arg-type]
        finally:
            if arguments[0].startswith('tpm2_'):
                subprocess.run(['tpm2_flushcontext', '-T', way, '-t'], capture_output=True, check=False)

    monkeypatch.setattr(Context, 'run', flushed)
    yield way
    process.terminate()
    process.wait()


def test_a_tpm_gives_the_key_back_until_it_is_cleared(ctx: Context, chip: str) -> None:
    tpm2.ready(ctx)
    tpm2.keep(ctx, KEY, b'')
    assert tpm2.recall(ctx, b'') == KEY
    assert [path.name for path in ctx.run_folder.iterdir()] == []
    subprocess.run(['tpm2_clear', '-T', chip], check=True)
    with pytest.raises(Waiting, match='does not know the key of this device'):
        tpm2.recall(ctx, b'')
    tpm2.keep(ctx, KEY, b'')
    assert tpm2.recall(ctx, b'') == KEY


def test_a_tpm_counts_wrong_pins(ctx: Context, chip: str) -> None:
    tpm2.keep(ctx, KEY, b'736251')
    assert tpm2.recall(ctx, b'736251') == KEY
    said = ''
    for _ in range(40):
        with pytest.raises(Waiting) as raised:
            tpm2.recall(ctx, b'736252')
        said = raised.value.message
        if 'did not open' not in said:
            break
    assert 'too many wrong ones' in said
    with pytest.raises(Waiting, match='too many wrong ones'):
        tpm2.recall(ctx, b'736251')
    # A key without PIN is not kept back by that.
    tpm2.keep(ctx, KEY, b'')
    assert tpm2.recall(ctx, b'') == KEY


def test_a_board_without_tpm_says_so(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tpm2, 'DEVICE', '/dev/no-such-tpm')
    monkeypatch.setattr(tpm2, 'tcti', lambda ctx: 'device:/dev/no-such-tpm')
    with pytest.raises(Waiting, match=r'no TPM 2\.0'):
        tpm2.ready(ctx)


@pytest.fixture
def slots(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The sticks that are in; a test changes the list."""
    found: list[Path] = []

    @contextmanager
    def mounted(ctx: Context, option: str) -> Iterator[list[Path]]:
        yield list(found)

    monkeypatch.setattr(usb_key, 'sticks', mounted)
    return found


def test_a_stick_is_missing_then_wrong_then_right(
    ctx: Context, container: Path, slots: list[Path], admin_key: Path
) -> None:
    offer(ctx, admin_key, 'usb-key')
    with pytest.raises(Waiting, match='No USB stick labelled AMSLPRKEY') as raised:
        data.make(ctx)
    assert raised.value.again
    assert not ctx.remember(data.RECORD)
    stick, other = ctx.root / 'stick', ctx.root / 'other'
    stick.mkdir()
    other.mkdir()
    slots[:] = [stick, other]
    with pytest.raises(Waiting, match='2 USB sticks'):
        data.make(ctx)
    slots[:] = [stick]
    data.make(ctx)
    assert [path.name for path in stick.iterdir()] == [f'amslpr-{ctx.remember(data.RECORD)["uuid"]}.key']
    assert luks.opens(ctx, container, data_open.key(ctx))
    slots[:] = []
    with pytest.raises(Waiting, match='is not there'):
        data_open.key(ctx)
    slots[:] = [other]
    with pytest.raises(Waiting, match='no key of this device'):
        data_open.key(ctx)
    slots[:] = [other, stick]
    assert luks.opens(ctx, container, data_open.key(ctx))


def test_the_recovery_key_opens_and_enrols_a_new_stick(
    ctx: Context, container: Path, slots: list[Path], admin_key: Path
) -> None:
    offer(ctx, admin_key, 'usb-key')
    stick, new = ctx.root / 'stick', ctx.root / 'new'
    stick.mkdir()
    new.mkdir()
    slots[:] = [stick]
    data.make(ctx)
    lost = data_open.key(ctx)
    recovery = json.loads(decrypt(ctx, admin_key))['luks_recovery_key'].encode()
    slots[:] = [new]
    data.passphrase_file(ctx).write_bytes(recovery)
    assert data_open.key(ctx) == recovery
    assert (ctx.run_folder / data_open.BY_RECOVERY).exists()
    # A slot that a cut left behind goes as well.
    luks.add_key(ctx, container, recovery, b'left behind', luks.RANDOM_KEY)
    enrol.enrol(ctx, recovery, b'')
    assert not (ctx.run_folder / data_open.BY_RECOVERY).exists()
    assert luks.opens(ctx, container, data_open.key(ctx))
    assert luks.opens(ctx, container, recovery)
    assert not luks.opens(ctx, container, lost)
    assert not luks.opens(ctx, container, b'left behind')


def test_enrolling_wants_the_recovery_key_itself(ctx: Context, container: Path, admin_key: Path) -> None:
    with pytest.raises(StepError, match='not made yet'):
        enrol.enrol(ctx, b'x', b'')
    data.make(ctx)
    before = ctx.key_file.read_bytes()
    # Whoever gives another key that opens would lose the recovery key.
    with pytest.raises(StepError, match='no recovery key'):
        enrol.enrol(ctx, before, b'')
    with pytest.raises(StepError, match='does not open'):
        enrol.enrol(ctx, b'-'.join([b'abcd'] * 13), b'')
    assert ctx.key_file.read_bytes() == before


def test_enrolling_changes_a_passphrase(ctx: Context, container: Path, admin_key: Path) -> None:
    offer(ctx, admin_key, 'passphrase')
    data.passphrase_file(ctx).write_bytes(b'correct horse battery')
    data.make(ctx)
    recovery = json.loads(decrypt(ctx, admin_key))['luks_recovery_key'].encode()
    with pytest.raises(StepError, match='12 to 512 bytes'):
        enrol.enrol(ctx, recovery, b'short')
    enrol.enrol(ctx, recovery, b'another horse battery')
    assert not luks.opens(ctx, container, b'correct horse battery')
    assert luks.opens(ctx, container, b'another horse battery')
    assert luks.opens(ctx, container, recovery)


def test_a_pin_is_a_persons_and_may_be_short(ctx: Context, container: Path, chip: str, admin_key: Path) -> None:
    offer(ctx, admin_key, 'tpm2')
    ctx.site['unlock']['pin'] = True
    assert (unlock.asks_person(ctx), unlock.word(ctx), unlock.least(ctx)) == (True, 'PIN', 6)
    with pytest.raises(Waiting, match='has no PIN yet'):
        data.make(ctx)
    data.passphrase_file(ctx).write_bytes(b'736251')
    data.make(ctx)
    data.passphrase_file(ctx).unlink()
    with pytest.raises(Waiting, match='until somebody gives its PIN'):
        data_open.key(ctx)
    data.passphrase_file(ctx).write_bytes(b'736252')
    with pytest.raises(Waiting, match='That PIN did not open'):
        data_open.key(ctx)
    data.passphrase_file(ctx).write_bytes(b'736251')
    assert luks.opens(ctx, container, data_open.key(ctx))
    assert not luks.opens(ctx, container, b'736251')
    recovery = json.loads(decrypt(ctx, admin_key))['luks_recovery_key'].encode()
    data.passphrase_file(ctx).write_bytes(recovery)
    assert data_open.key(ctx) == recovery


def test_nobody_but_root_enrols(
    ctx: Context, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr('os.geteuid', lambda: 1000)
    assert cli.enrol(ctx) == 1
    assert 'sudo amslpr-device unlock enrol' in capsys.readouterr().err
