"""The server of copies, the device's own key for it, and how the last attempt went.

Settings and key are in /etc/amslpr/secrets, on the encrypted partition: neither is in an image or a site file.
"""

from __future__ import annotations

import json
import re
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amslpr_device import site_values as values
from amslpr_device.context import Context
from amslpr_device.files import write
from amslpr_device.mail import spool
from amslpr_device.site_file import Fields, Items, Value

PORT = 22


@dataclass(frozen=True)
class Server:
    """Where copies go."""

    server: str
    port: int
    user: str
    path: str
    host_keys: tuple[str, ...]

    @property
    def to(self) -> str:
        """What a copy there is noted as: after a change of the server all copies are made again."""
        host = f'[{self.server}]' if ':' in self.server else self.server
        return f'sftp://{self.user}@{host}:{self.port}{self.path}'


def account(text: str) -> str:
    """The name of an account on the server."""
    if re.fullmatch(r'[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}', text):
        return text
    raise values.Wrong(f'`{text[:40]}` is no account name', 'letters, digits, and ._- but not first; at most 64')


def folder(text: str) -> str:
    """An absolute folder on the server, as an account that is shut in there sees it."""
    parts = text.split('/')[1:]
    plain = all(re.fullmatch(r'[A-Za-z0-9._+-]+', part) and part not in ('.', '..') for part in parts)
    if text == '/' or (text.startswith('/') and len(text) <= 200 and plain):
        return text
    hint = 'write it as /backups/gate, from the root that the account sees: letters, digits, and ._+-'
    raise values.Wrong(f'`{text[:60]}` is no absolute folder', hint)


def host_key(text: str) -> str:
    """A public host key, as /etc/ssh/ssh_host_ed25519_key.pub of the server has it."""
    kind = text.split(None, 1)[0] if text.strip() else ''
    if re.match(r'\S+\s+(ssh-|ecdsa-)', text):
        raise values.Wrong('a host key begins with its type', 'leave out the name that ssh-keyscan writes before it')
    if kind not in ('ssh-ed25519', 'ssh-rsa'):
        hint = 'ed25519 and RSA from 3072 bits are taken: ssh-keyscan -t ed25519 SERVER'
        raise values.Wrong(f'host keys of the type `{kind[:40]}` are not taken', hint)
    return values.ssh_key(text)


PUSH = Fields(
    {
        'server': Value(values.tls_name, required=True),
        'port': Value(values.port),
        'user': Value(account, required=True),
        'path': Value(folder, required=True),
        'host_keys': Items(Value(host_key), least=1, most=8, required=True),
    }
)


def place(ctx: Context) -> Path:
    """On the encrypted partition."""
    return ctx.at('/etc/amslpr/secrets')


def file(ctx: Context) -> Path:
    """The settings."""
    return place(ctx) / 'backup-push.json'


def key_file(ctx: Context) -> Path:
    """The device's own key for the server."""
    return place(ctx) / 'backup-push-key'


def is_set(ctx: Context) -> bool:
    """Whether there is a server."""
    return file(ctx).exists()


def settings(ctx: Context) -> Server | None:
    """What `push set` wrote; None without a server. Raises ValueError when it cannot be read."""
    try:
        found = json.loads(file(ctx).read_text())
        keys = tuple(str(one) for one in found['host_keys'])
        return Server(found['server'], int(found.get('port') or PORT), found['user'], found['path'], keys)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f'{file(ctx)} cannot be read: sudo amslpr-device backup push set') from error


def make_key(ctx: Context) -> None:
    """Makes the device's key, unless there is one. It is made in memory, and written whole."""
    if key_file(ctx).exists():
        return
    name = f'amslpr-backup@{ctx.site.get("hostname") or "device"}'
    with tempfile.TemporaryDirectory(dir=ctx.run_folder) as memory:
        made = f'{memory}/key'
        ctx.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', name, '-f', made])
        write(key_file(ctx), Path(made).read_bytes(), 0o600)


def authorized_line(ctx: Context) -> str:
    """The device's public key, as a line for authorized_keys that allows SFTP and nothing else."""
    public = ctx.run(['ssh-keygen', '-y', '-f', str(key_file(ctx))]).decode().strip()
    return f'restrict,command="internal-sftp" {public}'


def note(ctx: Context) -> dict[str, Any]:
    """{error, since} while copies fail; empty when the last attempt went well."""
    return spool.note(ctx, 'push')


def put_note(ctx: Context, error: str) -> None:
    """Keeps why copies fail and since when, if it is something new; an empty text for success."""
    found = {'error': error, 'since': note(ctx).get('since') or int(time.time())} if error else {}
    spool.put_note(ctx, found, 'push')
