"""`amslpr-device backup push`: copies of backups on a server of yours, by SFTP. All of it needs sudo.

backup push set    takes server, user, path and host_keys from standard input
backup push key    the line for authorized_keys on the server; makes a key where there is none
backup push show   the server, the last copy, and what went wrong last
backup push test   asks the server and sends what it does not have, and says what became of it
backup push off    sends nothing any more; what is on the server stays
backup push send   what the unit amslpr-backup-push.service runs
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from amslpr_device import administration
from amslpr_device.backup_places import BackupError, Places
from amslpr_device.backup_records import last_copy
from amslpr_device.context import Context, StepError
from amslpr_device.files import write_record
from amslpr_device.push import send, settings
from amslpr_device.push.sftp import NotCopied
from amslpr_device.say import NOTICE, WARNING, say

NONE = 'no backup is copied to a server: sudo amslpr-device backup push set < server.yaml'


def main(rest: list[str], ctx: Context | None = None) -> int:
    """Returns the exit code."""
    ctx = ctx or Context(Path(os.environ.get('AMSLPR_ROOT', '/')))
    verbs = {'set': take, 'key': key, 'show': show, 'test': test, 'off': off, 'send': flush}
    try:
        return administration.answer(ctx, 'backup push', str(__doc__), verbs, rest)
    except (StepError, ValueError, OSError) as error:
        print(f'backup push {rest[0]} failed: {error}', file=sys.stderr)
        return 1


def take(ctx: Context) -> int:
    """Sets the server, and makes the device's key for it."""
    found = administration.given(settings.PUSH, 'push')
    if found is None:
        return 1
    settings.make_key(ctx)
    write_record(settings.file(ctx), found)
    settings.put_note(ctx, '')
    print(f'the server is set. This line belongs into authorized_keys of {found["user"]} on {found["server"]}:')
    print(settings.authorized_line(ctx))
    print('then: sudo amslpr-device backup push test')
    return 0


def key(ctx: Context) -> int:
    """The line for the server; a copy of a card, which lost its key, gets one of its own."""
    if settings.is_set(ctx):
        settings.make_key(ctx)
    elif not settings.key_file(ctx).exists():
        print(NONE, file=sys.stderr)
        return 1
    print(settings.authorized_line(ctx))
    return 0


def show(ctx: Context) -> int:
    """Settings, the last copy, the last error."""
    found = settings.settings(ctx)
    if found is None:
        print(NONE)
    else:
        print(f'Server: {found.to}')
        print(f'Host keys: {len(found.host_keys)} pinned, no other is believed')
        print(f'Not sent yet: {len(send.unsent(Places(ctx.root), found))}')
    last = last_copy(Places(ctx.root))
    when = f'{last.get("name")} at {last.get("at")} to {last.get("to")}' if last else 'none ever'
    print(f'Last copy off this card: {when}')
    error = settings.note(ctx).get('error')
    if found and error:
        print(f'The last attempt failed: {error}')
    return 0


def off(ctx: Context) -> int:
    """Sends nothing any more. The key stays, so that the same server can be set again."""
    settings.file(ctx).unlink(missing_ok=True)
    settings.put_note(ctx, '')
    if ctx.real:
        ctx.succeeds(['systemctl', 'stop', 'amslpr-backup-push.timer', 'amslpr-backup-push.service'])
    print(NONE)
    return 0


def test(ctx: Context) -> int:
    """Sends now."""
    found = settings.settings(ctx)
    if found is None:
        print(NONE, file=sys.stderr)
        return 1
    try:
        count = send.everything(ctx, found, print, ask=True)
    except (NotCopied, BackupError) as why:
        print(f'not copied: {why}', file=sys.stderr)
        return 1
    print(f'{found.server}:{found.port} is as it should be, and took {count} backups')
    return 0


def flush(ctx: Context) -> int:
    """Sends what is unsent. A server that is away fails no unit: the monitor tells of it."""
    try:
        found = settings.settings(ctx)
        if found is not None:
            send.everything(ctx, found, lambda text: say(NOTICE, text))
    except BackupError as why:
        say(NOTICE, str(why))
    except NotCopied as why:
        say(WARNING, f'no backup was copied: {why}')
    except ValueError as why:
        settings.put_note(ctx, str(why))
        say(WARNING, f'no backup was copied: {why}')
    return 0
