"""A device in a folder: site, boot partition, account files; programs are the real ones wherever the host has them."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from amslpr_device import bundle, files, luks
from amslpr_device.context import Context
from amslpr_device.disk import SECTOR, Card
from amslpr_device.files import write
from amslpr_device.site_file import validate
from amslpr_device.steps import data, data_open, machine_id, partitions, tls

GIBIBYTE = 1 << 30
SITE = """format: 1
name: Gate North
hostname: gate-north
timezone: Europe/London
admins:
  - name: alex
    keys:
      - {key}
recovery:
  single-recipient-accepted: Alex
network:
  wifi:
    country: GB
    ssid: "My; Net"
    psk: 'secret  pass\\word'
tls:
  names:
    - gate.example
unlock:
  method: {method}
enrolment-token: {token}
...
"""
TOKEN = 'A' * 43


class FileCard(Card):
    """A card whose partitions are files beside it, since a test has no device nodes."""

    def partition(self, number: int) -> Path:
        """card2, card4."""
        return self.path.with_name(f'{self.path.name}{number}')


@pytest.fixture(scope='session')
def admin_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An administrator's SSH key; the public part is beside it."""
    path = tmp_path_factory.mktemp('keys') / 'alex'
    subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', 'alex', '-f', str(path)], check=True)
    return path


@pytest.fixture
def ctx(tmp_path: Path, admin_key: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    """A device that has not been started, with a site file on its boot partition."""
    made = Context(tmp_path)
    for folder in (
        'etc/ssh',
        'boot/firmware',
        'run/amslpr-device',
        'var/lib/amslpr-device',
        'home',
        'dev/mapper',
        'proc',
    ):
        (tmp_path / folder).mkdir(parents=True)
    made.state.chmod(0o700)
    for name, size in (('STATUS.TXT', 4096), ('report.json', 16384), ('bundle.0', 16384), ('bundle.1', 16384)):
        (made.boot / name).write_bytes(b'\n' * size)
    (tmp_path / 'proc/meminfo').write_text('MemTotal:  1000000 kB\n')
    (tmp_path / 'proc/cpuinfo').write_text('Features : fp asimd aes\n')
    monkeypatch.setattr(files, 'give', lambda path, owner: None)
    offer(made, admin_key)
    return made


def site_text(admin_key: Path, method: str = 'card') -> str:
    """A good site file."""
    return SITE.format(key=admin_key.with_suffix('.pub').read_text().strip(), method=method, token=TOKEN)


def offer(ctx: Context, admin_key: Path, method: str = 'card') -> None:
    """Puts a site file onto the boot partition, and the site into the context."""
    text = site_text(admin_key, method)
    (ctx.boot / 'site.yaml').write_text(text)
    ctx.site = validate(text.encode()).site or {}


def decrypt(ctx: Context, key: Path) -> str:
    """The recovery bundle, opened by the operator's key."""
    found = bundle.newest(ctx)
    assert found is not None
    return subprocess.run(
        ['age', '-d', '-i', str(key)], input=found[1], capture_output=True, check=True
    ).stdout.decode()


def tree(root: Path) -> dict[str, tuple[int, bytes]]:
    """Every file with its time and content; not the whole card, which is huge and a hole."""
    found = [path for path in root.rglob('*') if path.is_file() and path.name != 'card']
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in found}


@pytest.fixture
def accounts(ctx: Context) -> Context:
    """Account files with root and the groups of the image."""
    ctx.at('/etc/passwd').write_text('root:x:0:0:root:/root:/bin/bash\n')
    ctx.at('/etc/shadow').write_text('root:*:20000:0:99999:7:::\n')
    ctx.at('/etc/group').write_text('root:x:0:\nsudo:x:27:\nadm:x:4:\namslpr-admins:x:960:\n')
    ctx.at('/etc/gshadow').write_text('root:*::\nsudo:*::\nadm:*::\namslpr-admins:!::\n')
    ctx.at('/etc/login.defs').write_text('UID_MIN 1000\nUID_MAX 60000\nGID_MIN 1000\nGID_MAX 60000\n')
    return ctx


@pytest.fixture
def web(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> Context:
    """A device with open data and two addresses."""
    ctx.at('/etc/amslpr/ssl').mkdir(parents=True)
    ctx.at('/etc/amslpr/secrets').mkdir(parents=True)
    ctx.at('/var/lib/amslpr').mkdir(parents=True)
    monkeypatch.setattr(tls, 'addresses', lambda ctx: ['192.0.2.7', '2001:db8::7'])
    return ctx


@pytest.fixture
def card(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> FileCard:
    """A card of 4 GiB with boot and root, as the image lays it out."""
    disk = FileCard(ctx.root / 'card')
    table = bytearray(SECTOR)
    entries = ((0x0C, 8192, 524288), (0x83, 532480, 2 * GIBIBYTE // SECTOR))
    for number, (kind, start, sectors) in enumerate(entries):
        struct.pack_into(
            '<B3sB3sII', table, 446 + 16 * number, 0, b'\xfe\xff\xff', kind, b'\xfe\xff\xff', start, sectors
        )
    table[440:444] = b'\x12\x34\x56\x78'
    table[510:] = b'\x55\xaa'
    disk.path.write_bytes(table)
    with disk.path.open('r+b') as file:
        file.truncate(4 * GIBIBYTE)
    monkeypatch.setattr(partitions, 'find_card', lambda ctx: disk)
    monkeypatch.setattr(data, 'find_card', lambda ctx: disk)
    return disk


@pytest.fixture
def container(ctx: Context, card: FileCard, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Room for data, and the two programs that need a kernel replaced: they note what they were given."""
    target = card.partition(4)
    with target.open('wb') as file:
        file.truncate(64 << 20)
    monkeypatch.setattr(luks, 'open_container', lambda ctx, device, key: ctx.mapped.write_bytes(b'\0' * (16 << 20)))
    run = Context.run

    def without_kernel(self: Context, arguments: list[str], **options: object) -> bytes:
        if arguments[:2] == ['cryptsetup', 'close']:
            self.mapped.unlink()
            return b''
        return run(self, arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Context, 'run', without_kernel)
    return target


@pytest.fixture
def device(ctx: Context, accounts: Context, web: Context, container: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    """A device on which everything is real but the kernel's part: partitions, opening and mounting."""
    ctx.at('/etc/NetworkManager').mkdir(parents=True)
    monkeypatch.setattr(machine_id, 'make', lambda ctx: write(ctx.at('/etc/machine-id'), 'a' * 32 + '\n'))
    monkeypatch.setattr(partitions, 'product_ok', lambda ctx: True)
    monkeypatch.setattr(data_open, 'product_ok', lambda ctx: True)
    return ctx


@pytest.fixture
def quick(device: Context, monkeypatch: pytest.MonkeyPatch) -> Context:
    """The same with a container that is a note of its UUID: test_data.py cuts the real one."""

    def note(ctx: Context, path: Path, own: str, *rest: object) -> None:
        path.write_text(own)

    monkeypatch.setattr(data, 'build', note)
    monkeypatch.setattr(data, 'header_uuids', lambda path: set())
    monkeypatch.setattr(data, 'container_uuid', lambda ctx, path: path.read_text().strip('\0'))
    return device
