"""A device in a folder: site, boot partition, account files; programs are the real ones wherever the host has them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from amslpr_device import bundle, files
from amslpr_device.context import Context
from amslpr_device.disk import Card
from amslpr_device.site_file import validate

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
