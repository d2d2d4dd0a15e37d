"""Evidence of a device in a folder, by the programs of this host, encrypted by real age."""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from conftest import site_text
from network_pair import DEVICE

from amslpr_device.context import Context
from amslpr_device.incident import evidence, outlet, sources

# Real cryptsetup, age, databases, networks: with all others in ci/test, not before each commit.
pytestmark = pytest.mark.slow

HASH = '$6$salt$' + 'h' * 86


@pytest.fixture
def victim(ctx: Context, admin_key: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    """A device with a site, accounts, logs and something left behind; of programs, those that answer at once."""
    (ctx.state / 'site.yaml').write_text(site_text(admin_key))
    for path, text in {
        '/etc/passwd': 'root:x:0:0:root:/root:/bin/bash\n',
        '/etc/shadow': f'root:{HASH}:20000::::::\n',
        '/etc/machine-id': '0123456789abcdef0123456789abcdef\n',
        '/etc/ssh/authorized_keys.d/alex': 'ssh-ed25519 AAAA alex\n',
        '/etc/systemd/system/evil.service': '[Service]\nExecStart=/tmp/evil\n',
        '/usr/bin/evil': 'evil',
        '/run/left-behind': 'x',
        '/var/log/nginx/access.log': 'GET /\n' * 1_500_000,
    }.items():
        ctx.at(path).parent.mkdir(parents=True, exist_ok=True)
        ctx.at(path).write_text(text)
    ctx.at('/etc/systemd/system/alias.service').symlink_to('/etc/shadow')
    slow = ('journalctl', 'dpkg', 'sysctl')
    quick = [one for one in evidence.COMMANDS if not one[1].startswith(slow)]
    monkeypatch.setattr(evidence, 'COMMANDS', [*quick, ('09-journal/journal.export', 'no-such-program', 5)])
    return ctx


def members(data: bytes) -> dict[str, bytes]:
    """Every member by its name, in their order."""
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {one.name: file.read() for one in archive if (file := archive.extractfile(one))}


def opened(ctx: Context, admin_key: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, bytes]:
    """Collects, decrypts with the administrator's key, and compares the digest that was said."""
    out = io.BytesIO()
    assert evidence.main(ctx, ['--case', '2026-7'], out) == 0
    assert f'SHA-256: {hashlib.sha256(out.getvalue()).hexdigest()}' in capsys.readouterr().err
    assert b'AMSLPR' not in out.getvalue()
    done = subprocess.run(['age', '-d', '-i', str(admin_key)], input=out.getvalue(), capture_output=True, check=True)
    return members(done.stdout)


def test_what_is_lost_first_comes_first(victim: Context, admin_key: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = opened(victim, admin_key, capsys)
    names = list(found)
    assert names[0] == 'CUSTODY.txt'
    assert names[-1] == 'SHA256SUMS'
    numbers = [name[:2] for name in names if name[0].isdecimal()]
    assert numbers == sorted(numbers)
    assert set(numbers) >= {'01', '02', '03', '05', '06', '07', '08', '09', '10', '11', '12', '14'}
    custody = found['CUSTODY.txt'].decode()
    assert 'Case: 2026-7\n' in custody
    assert 'Device: gate-north\n' in custody
    assert 'Machine id: 0123456789abcdef0123456789abcdef\n' in custody
    assert 'Encrypted to: 1 keys\n' in custody
    assert found['SHA256SUMS'].decode().splitlines() == [
        f'{hashlib.sha256(data).hexdigest()}  {name}' for name, data in found.items() if name != 'SHA256SUMS'
    ]


def test_has_what_an_intruder_left_and_no_password(
    victim: Context, admin_key: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = opened(victim, admin_key, capsys)
    digest = hashlib.sha256(b'evil').hexdigest()
    assert f'{digest}  /usr/bin/evil\n'.encode() in found['14-files/sha256']
    assert b'/run/left-behind\n' in found['08-memory-files']
    assert b'\t/etc/systemd/system/evil.service\n' in found['14-files/changed']
    assert found['12-units/files/etc/systemd/system/evil.service'] == b'[Service]\nExecStart=/tmp/evil\n'
    assert found['11-accounts/files/etc/ssh/authorized_keys.d/alex'] == b'ssh-ed25519 AAAA alex\n'
    # A link leads nobody to what is not to be copied.
    assert found['12-units/files/etc/systemd/system/alias.service.link'] == b'/etc/shadow'
    assert not any(HASH.encode() in data for data in found.values())
    # A long log comes in parts, and whole.
    log = [data for name, data in found.items() if name.startswith('10-logs/files/var/log/nginx/access.log.')]
    assert [len(part) for part in log] == [outlet.PART, outlet.PART, 9_000_000 - 2 * outlet.PART]
    assert f'{sys.executable}'.split('/')[-1][:6].encode() in found['02-processes/programs']
    # What could not be had is said, and ended nothing.
    assert b'no-such-program: No such file or directory\n' in found['errors.txt']


def test_is_plain_before_there_is_a_site(victim: Context, capsys: pytest.CaptureFixture[str]) -> None:
    victim.site = {}
    (victim.state / 'site.yaml').unlink()
    out = io.BytesIO()
    assert evidence.main(victim, [], out) == 0
    assert 'nobody: this device has no site' in members(out.getvalue())['CUSTODY.txt'].decode()
    assert 'encrypted to 0 keys' in capsys.readouterr().err


class Gone(io.RawIOBase):
    """A caller whose line was cut."""

    def writable(self) -> bool:
        return True

    def write(self, data: object, /) -> int:
        raise BrokenPipeError(32, 'Broken pipe')


def test_says_so_when_the_caller_is_gone(victim: Context, capsys: pytest.CaptureFixture[str]) -> None:
    assert evidence.main(victim, [], Gone()) == 1
    assert 'the evidence is not whole: ' in capsys.readouterr().err


def test_a_program_that_hangs_is_ended_and_named() -> None:
    failures: list[str] = []
    assert b''.join(outlet.output_of(['sh', '-c', 'echo began; exec sleep 60'], 1, failures.append)) == b'began\n'
    assert failures == ['sh -c echo began; exec sleep 60: exit code -9, after 1 s']


def test_knows_a_program_that_was_deleted(tmp_path: Path) -> None:
    shutil.copy('/bin/sleep', tmp_path / 'evil')
    digest = sources.digest(tmp_path / 'evil')
    process = subprocess.Popen([str(tmp_path / 'evil'), '60'])
    try:
        (tmp_path / 'evil').unlink()
        lines = b''.join(sources.programs()).decode().splitlines()
        assert any(line.startswith(f'{process.pid}\t{digest}\t{tmp_path}/evil (deleted)\t') for line in lines)
    finally:
        process.kill()
        process.wait()


def test_writes_nothing_to_the_card(victim: Context) -> None:
    """In a mount namespace in which every file system is read-only, the archive still comes out."""
    program = f"""
import sys
from pathlib import Path
sys.dont_write_bytecode = True
sys.path.insert(0, {str(DEVICE)!r})
from amslpr_device.context import Context
from amslpr_device.incident import evidence
evidence.COMMANDS = [('02-processes/ps', 'ps -e', 20)]
sys.exit(evidence.main(Context(Path(sys.argv[1])), []))
"""
    script = """
set -e
for place in $(awk '{print $5}' /proc/self/mountinfo); do mount -o remount,bind,ro "$place" 2>/dev/null || true; done
if touch "$2/written" 2>/dev/null; then echo "the folder of the test can be written to" >&2; exit 9; fi
exec "$1" -c "$3" "$2" 2>"/dev/fd/2"
"""
    done = subprocess.run(
        ['unshare', '-r', '-m', 'sh', '-c', script, 'sh', sys.executable, str(victim.root), program],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.startswith(b'age-encryption.org/v1\n')
