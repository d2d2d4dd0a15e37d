"""Speaks to the server by OpenSSH's sftp in batch mode: its host key must be one of those that are pinned.

Nothing there is removed, and no finished file is overwritten: `rename -l` refuses a name that is taken. An unfinished
`.NAME.part` of an upload that was cut is written anew.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

from amslpr_device.context import Context
from amslpr_device.push.settings import Server, key_file

SFTP = '/usr/bin/sftp'
# The name under which keys are looked for, whatever the server's name, address or port.
ALIAS = 'amslpr-backup-server'
OPTIONS = {
    'BatchMode': 'yes',
    'CheckHostIP': 'no',
    'ConnectTimeout': '30',
    'GlobalKnownHostsFile': '/dev/null',
    'HostKeyAlias': ALIAS,
    'IdentitiesOnly': 'yes',
    'IdentityAgent': 'none',
    'LogLevel': 'ERROR',
    'PreferredAuthentications': 'publickey',
    'ServerAliveCountMax': '4',
    'ServerAliveInterval': '30',
    'StrictHostKeyChecking': 'yes',
    'UpdateHostKeys': 'no',
}
LISTED = re.compile(r'^-\S{9}\s+\S+\s+\S+\s+\S+\s+(\d+)\s.*\s(\S+)$', re.M)


class NotCopied(Exception):
    """The server did not take a copy: why, and what to do."""


def arguments(ctx: Context, server: Server, known_hosts: str) -> list[str]:
    """The command: no file of anybody's settings is read, no agent asked, no other key tried."""
    options = {**OPTIONS, 'User': server.user, 'UserKnownHostsFile': known_hosts}
    given = [part for name, value in options.items() for part in ('-o', f'{name}={value}')]
    host = f'[{server.server}]' if ':' in server.server else server.server
    key = ['-i', str(key_file(ctx))]
    return [SFTP, '-b', '-', '-F', '/dev/null', '-P', str(server.port), *key, *given, host]


def session(ctx: Context, server: Server, commands: list[str], local: Path, seconds: float) -> str:
    """Runs commands of sftp in the folder of the server, and below `local` here; raises NotCopied."""
    with tempfile.NamedTemporaryFile('w') as known:
        known.write(''.join(f'{ALIAS} {key}\n' for key in server.host_keys))
        known.flush()
        batch = '\n'.join([f'cd {server.path}', *commands, ''])
        try:
            done = subprocess.run(
                arguments(ctx, server, known.name),
                input=batch.encode(),
                capture_output=True,
                cwd=local,
                env={'PATH': '/usr/bin:/bin', 'LC_ALL': 'C'},
                timeout=max(seconds, 1),
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise NotCopied(f'{server.server} is too slow: it did not take a backup in the time of a run') from None
        except OSError as error:
            raise NotCopied(f'{SFTP} could not be started: {error.strerror}') from error
    if done.returncode != 0:
        raise NotCopied(reason(server, done.stderr.decode(errors='replace')))
    return done.stdout.decode(errors='replace')


def sizes(listing: str) -> dict[str, int]:
    """Files by name, from what `ls -lna` of the client prints: its columns do not depend on the server."""
    return {name: int(size) for size, name in LISTED.findall(listing)}


def upload(name: str) -> list[str]:
    """Commands that put a file under its name once all of it is there, and on the server's disk."""
    return [f'put -f {name} .{name}.part', f'rename -l .{name}.part {name}']


def reason(server: Server, said: str) -> str:
    """What sftp complained of, in words for a person. What a server says is shown without control characters."""
    lines = [''.join(char if char.isprintable() else ' ' for char in line) for line in said.splitlines()]
    lines = [line.strip() for line in lines if line.strip() and 'Connection closed' not in line]
    text = (lines[-1] if lines else 'it said nothing')[:300]
    where = f'{server.server}:{server.port}'
    if 'Host key verification failed' in said or 'no matching host key' in said:
        return (
            f'{where} has none of the host keys that are pinned, so it may be another machine: '
            'compare on the server itself, then set the keys again'
        )
    if re.search(r'Permission denied \(', said):
        return f'{where} does not let {server.user} in with the key of this device: sudo amslpr-device backup push key'
    if 'Could not resolve' in said or 'ssh: connect to' in said:
        return f'{where} cannot be reached: {text}'
    if re.search(r'stat remote|realpath|not a directory', said):
        return f'{where} has no folder {server.path} for {server.user}: {text}'
    if re.search(r'write remote|fsync', said):
        return f'{where} did not take all of it; is it full? {text}'
    if re.search(r'remote open|dest open|open ".*"', said):
        return f'{server.user} may not write to {server.path} on {where}: {text}'
    return f'{where}: {text}'
