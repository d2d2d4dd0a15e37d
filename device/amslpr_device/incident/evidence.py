"""amslpr-device collect-evidence [--case TEXT]: what a device knows of an incident, to standard output.

A tar, encrypted by age to the keys of the recovery bundle (plain on a device that has no site yet). What is lost first
comes first: processes and sockets before the kernel's log, the journal, accounts, units, and digests of programs. It
begins with CUSTODY.txt: which device, when, who asked, and lines for everybody who has it afterwards; it ends with
SHA256SUMS. Nothing is written to the card. A program that fails is noted in errors.txt and ends nothing.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from typing import Any

from amslpr_device.context import Context, StepError
from amslpr_device.incident import caller, sources
from amslpr_device.incident.outlet import Archive, Counted, Writer, check_recipients, encrypted, output_of
from amslpr_device.site_file import recipients
from amslpr_device.steps import site

COMMANDS: list[tuple[str, str, int]] = [
    ('01-clock/date', 'date --iso-8601=ns --utc', 10),
    ('01-clock/timedatectl', 'timedatectl show', 20),
    ('02-processes/ps', 'ps -eww -o user,pid,ppid,lstart,stat,tty,rss,args --forest', 60),
    ('03-network/sockets', 'ss -tunapoeiH', 60),
    ('03-network/unix-sockets', 'ss -xapH', 60),
    ('03-network/addresses', 'ip -details address', 20),
    ('03-network/neighbours', 'ip neighbour', 20),
    ('03-network/routes', 'ip route show table all', 20),
    ('03-network/firewall', 'nft list ruleset', 60),
    ('04-sessions/loginctl', 'loginctl list-sessions --no-legend', 20),
    ('04-sessions/who', 'who --all', 20),
    ('06-mounts/df', 'df -a', 20),
    ('07-kernel/log', 'dmesg --time-format iso', 60),
    ('07-kernel/settings', 'sysctl -a', 60),
    ('09-journal/journal.export', 'journalctl --output=export --no-pager', 1800),
    ('11-accounts/password-states', 'passwd -S -a', 20),
    ('12-units/units', 'systemctl list-units --all --no-pager --no-legend', 60),
    ('12-units/unit-files', 'systemctl list-unit-files --no-pager --no-legend', 60),
    ('12-units/timers', 'systemctl list-timers --all --no-pager --no-legend', 60),
    ('13-packages/installed', 'dpkg-query -W', 60),
    ('13-packages/changed', 'dpkg --verify', 900),
]

# Copied whole. No key and no hash of a password is among them: /etc/shadow is only hashed.
FILES: list[tuple[str, list[str]]] = [
    ('01-clock', ['/proc/uptime', '/proc/loadavg']),
    ('06-mounts', ['/proc/self/mountinfo', '/proc/partitions']),
    ('07-kernel', ['/proc/modules', '/proc/cmdline', '/proc/version', '/sys/kernel/security/lsm']),
    ('10-logs', ['/var/log/audit/*', '/var/log/nginx/*', '/var/log/amslpr/*', '/var/log/apt/*']),
    ('11-accounts', ['/etc/passwd', '/etc/group', '/etc/sudoers', '/etc/sudoers.d/*', '/etc/ssh/sshd_config']),
    ('11-accounts', ['/etc/ssh/sshd_config.d/*', '/etc/ssh/authorized_keys.d/*', '/root/.ssh/authorized_keys*']),
    ('11-accounts', ['/home/*/.ssh/authorized_keys*', '/home/*/.*_history', '/root/.*_history']),
    ('12-units', ['/etc/systemd/system/*', '/etc/systemd/system/*/*', '/etc/crontab', '/etc/cron.*/*']),
    ('12-units', ['/var/spool/cron/crontabs/*', '/etc/ld.so.preload', '/etc/rc.local', '/etc/profile.d/*']),
    ('15-device', ['/usr/share/amslpr/image.json', '/boot/firmware/STATUS.TXT', '/boot/firmware/report.json']),
]


def custody(ctx: Context, case: str, keys: list[str]) -> str:
    """The head of the chain of custody."""
    found = caller.connection()
    identity, image = ctx.remember('identity.json'), ctx.image()
    try:
        machine = ctx.at('/etc/machine-id').read_text().strip()
    except OSError:
        machine = 'unknown'
    lines: list[tuple[str, Any]] = [
        ('Case', case or '(none given)'),
        ('Device', ctx.site.get('hostname', os.uname().nodename)),
        ('Site', ctx.site.get('name', '(no site yet)')),
        ('Board, card', f'{identity.get("board", "unknown")}, {identity.get("card", "unknown")}'),
        ('Machine id', machine),
        ('Image', f'{image.get("name", "unknown")} {image.get("digest", "")}'.strip()),
        ('Began, by the clock of the device', now()),
        ('Asked for by', os.environ.get('SUDO_USER', 'root')),
        ('From', found[0] if found else 'not over SSH'),
        ('Encrypted to', f'{len(keys)} keys' if keys else 'nobody: this device has no site'),
        *((f'  key {number}', key) for number, key in enumerate(keys, 1)),
    ]
    hand_over = ['Handed over (fill in by hand; keep with the SHA-256 that was printed at the end):', '']
    hand_over += [f'{number}. date and time, from, to, why: ____________________' for number in range(1, 6)]
    return '\n'.join(
        ['Evidence of an AMSLPR device', '', *(f'{name}: {value}' for name, value in lines), '', *hand_over, '']
    )


def now() -> str:
    """Date and time."""
    return datetime.now(UTC).isoformat(timespec='seconds')


def collect(ctx: Context, archive: Archive, case: str, keys: list[str]) -> list[str]:
    """Writes all members in their order; returns what could not be had."""
    errors: list[str] = []
    archive.add('CUSTODY.txt', custody(ctx, case, keys).encode())
    steps: list[tuple[str, Callable[[], None]]] = []
    for name, line, limit in COMMANDS:
        steps.append((name, partial(command, archive, name, line, limit, errors)))
    for folder, patterns in FILES:
        steps.append((folder, partial(sources.copy, ctx, archive, folder, patterns, errors)))
    read: dict[str, Callable[[], Iterable[bytes]]] = {
        '02-processes/programs': sources.programs,
        '05-open-files': sources.open_files,
        '08-memory-files': partial(sources.listing, ctx, ['/run', '/tmp', '/dev/shm']),
        '14-files/changed': partial(sources.changed, ctx, time.time()),
        '14-files/sha256': partial(sources.hashes, ctx),
    }
    steps += [(name, partial(parts, archive, name, source)) for name, source in read.items()]
    for _, step in sorted(steps, key=lambda one: one[0][:2]):
        step()
    archive.add('errors.txt', ''.join(f'{one}\n' for one in errors).encode())
    archive.add('ended.txt', f'{now()}\n'.encode())
    return errors


def command(archive: Archive, name: str, line: str, limit: int, errors: list[str]) -> None:
    """What a program says, as a member."""
    archive.add_parts(name, output_of(shlex.split(line), limit, errors.append))


def parts(archive: Archive, name: str, source: Callable[[], Iterable[bytes]]) -> None:
    """What we read ourselves, as a member; read when its turn comes."""
    archive.add_parts(name, source())


def main(ctx: Context, rest: list[str], out: Writer | None = None) -> int:
    """Returns the exit code; the archive goes to `out`, or to standard output when that is no terminal."""
    parser = argparse.ArgumentParser(prog='amslpr-device collect-evidence', description=(__doc__ or '').split('\n')[0])
    parser.add_argument('--case', default='', metavar='TEXT', help='a name or number for the incident')
    case: str = parser.parse_args(rest).case
    if ctx.real and os.geteuid() != 0:
        print('collect-evidence needs root: sudo amslpr-device collect-evidence', file=sys.stderr)
        return 1
    if out is None and sys.stdout.isatty():
        print(
            "send it to a file on your machine: ssh ADMIN@DEVICE 'sudo -S amslpr-device collect-evidence' > FILE",
            file=sys.stderr,
        )
        return 2
    site.recall(ctx)
    counted = Counted(out or sys.stdout.buffer)
    try:
        keys = recipients(ctx.site) if ctx.site else []
        with ExitStack() as stack:
            target: Writer = stack.enter_context(encrypted(check_recipients(ctx, keys), counted)) if keys else counted
            archive = Archive(target)
            errors = collect(ctx, archive, case, keys)
            archive.close()
        if out is None:
            sys.stdout.flush()
    except (StepError, OSError) as error:
        print(f'the evidence is not whole: {error}', file=sys.stderr)
        return 1
    for one in errors:
        print(f'not had: {one}', file=sys.stderr)
    print(
        f'{counted.size} bytes, encrypted to {len(keys)} keys. SHA-256: {counted.digest.hexdigest()}', file=sys.stderr
    )
    return 0
