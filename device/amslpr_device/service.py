"""What administrators may ask without sudo: the socket /run/amslpr-device.sock, for the group amslpr-admins.

One line of JSON each way: {verb, secret?} and {exit, text}. systemd starts a process for each caller; it does these
verbs and nothing else. `unlock` takes the passphrase or PIN (or the recovery key), keeps it in memory, and
starts the units.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from typing import Any

from amslpr_device import backup_records, bundle, status
from amslpr_device import unlock as methods
from amslpr_device.backup_places import Places
from amslpr_device.context import Context
from amslpr_device.incident import isolate
from amslpr_device.steps import site
from amslpr_device.steps.data import passphrase_file
from amslpr_device.steps.data_open import BY_RECOVERY

SOCKET = '/run/amslpr-device.sock'
# Words of status for the states of the container's record; any other means that there is none yet.
DATA = {'live': 'closed', 'adopting': 'to adopt', 'cloned': 'to adopt'}
VERBS = ('status', 'report', 'bundle', 'unlock', 'backup list', 'tls show')


def ask(verb: str, secret: str = '') -> tuple[int, str]:
    """Asks the service; the client's side."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(SOCKET)
        client.sendall(json.dumps({'verb': verb, 'secret': secret}).encode() + b'\n')
        answer = b''.join(iter(lambda: client.recv(65536), b''))
    found = json.loads(answer)
    return int(found['exit']), str(found['text'])


def serve(ctx: Context) -> int:
    """Answers one question from standard input; the service's side."""
    try:
        question = json.loads(sys.stdin.buffer.readline(8192))
        code, text = answer(ctx, str(question.get('verb')), str(question.get('secret', '')))
    except (ValueError, AttributeError):
        code, text = 2, 'that is no question\n'
    print(json.dumps({'exit': code, 'text': text}), flush=True)
    return 0


def answer(ctx: Context, verb: str, secret: str = '') -> tuple[int, str]:
    """Exit code and text for a verb."""
    site.recall(ctx)
    if verb == 'status':
        from amslpr_device.authority import command as authority

        return 0, json.dumps({**facts(ctx), 'request_waits': authority.waits(ctx)}) + '\n'
    if verb == 'report':
        return 0, (ctx.boot / 'report.json').read_text().rstrip() + '\n'
    if verb == 'bundle':
        found = bundle.newest(ctx)
        return (0, found[1].decode()) if found else (1, 'there is no recovery bundle yet\n')
    if verb == 'unlock':
        return unlock(ctx, secret)
    if verb == 'backup list':
        done = subprocess.run(
            ['/usr/sbin/amslpr-device', 'backup', 'list'], capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout + done.stderr
    if verb == 'tls show':
        from amslpr_device.authority import command as authority

        return authority.shown(ctx)
    return 2, f'the service answers: {", ".join(VERBS)}\n'


def facts(ctx: Context) -> dict[str, Any]:
    """Everything that `status` knows."""
    from amslpr_device.monitor import alerts
    from amslpr_device.monitor import facts as monitor
    from amslpr_device.runner import FIRST_BOOT, PROVISION

    found = ctx.remember('data.json')
    now = status.current(ctx)
    return {
        'state': 'starting',
        'step': '',
        'message': '',
        'hint': '',
        **now,
        'steps': status.progress(now, (*FIRST_BOOT, *PROVISION)),
        'hostname': ctx.site.get('hostname', ''),
        'unlock': ctx.site.get('unlock', {}).get('method', ''),
        'data': 'open' if ctx.is_mounted('/data') else DATA.get(str(found.get('state')), 'not made'),
        'unlock_word': methods.word(ctx) if methods_ask(ctx) else '',
        'opened_by_recovery': (ctx.run_folder / BY_RECOVERY).exists(),
        'recovery': 'proven' if found.get('proven') else 'unproven',
        'isolated': isolate.recorded(ctx),
        'clock': 'compared' if monitor.kept(ctx) else 'not compared',
        'copies': copies(ctx),
        'alerts': [{key: one[key] for key in ('text', 'hint', 'since')} for one in alerts.active(alerts.read(ctx))],
    }


def copies(ctx: Context) -> str:
    """Whether a backup has ever been copied off the card: `none` or `made`; empty while there is no backup."""
    places = Places(ctx.root)
    if not ctx.is_mounted('/data') or not backup_records.archives(places):
        return ''
    return 'made' if backup_records.last_copy(places) else 'none'


def asked_for(now: dict[str, Any]) -> str:
    """What a person is asked for at the screen; empty for nothing."""
    return 'recovery key of the earlier device' if now['data'] == 'to adopt' else str(now['unlock_word'])


def methods_ask(ctx: Context) -> bool:
    """Whether the site's method asks a person; False without a site."""
    return bool(ctx.site) and methods.asks_person(ctx)


def unlock(ctx: Context, secret: str) -> tuple[int, str]:
    """Hands a passphrase over and waits for what becomes of it."""
    if not ctx.site:
        return 1, 'there is no site yet\n'
    if ctx.is_mounted('/data'):
        return 0, 'the data partition is open already\n'
    if ctx.remember('data.json').get('state') not in DATA and not methods.asks_person(ctx):
        return 1, 'the data partition is not made yet; it does not need a passphrase\n'
    if not methods.least(ctx) <= len(secret.encode()) <= methods.MOST:
        return 1, f'a {methods.word(ctx)} has {methods.least(ctx)} to {methods.MOST} bytes\n'
    hand_over(ctx, secret.encode())
    # Tries of a person are no loop of failures.
    subprocess.run(['systemctl', 'reset-failed', 'amslpr-provision.service'], capture_output=True, check=False)
    done = subprocess.run(['systemctl', 'restart', 'amslpr-provision.service'], capture_output=True, check=False)
    now = facts(ctx)
    text = ' '.join(str(now[key]) for key in ('state', 'message', 'hint') if now[key])
    return 0 if done.returncode == 0 and now['data'] == 'open' else 1, text + '\n'


def hand_over(ctx: Context, secret: bytes) -> None:
    """Puts it where the steps look for it: in memory, for root."""
    path = passphrase_file(ctx)
    path.unlink(missing_ok=True)
    with open(path, 'wb', opener=lambda name, flags: os.open(name, flags | os.O_EXCL, 0o600)) as file:
        file.write(secret)


def console(ctx: Context) -> int:
    """The screen: shows the status when it changes, and prompts for the passphrase when that is what is waited for."""
    import getpass

    shown = ('', '')
    while True:
        site.recall(ctx)
        now = facts(ctx)
        told = [f'Alert: {one["text"]}' for one in now['alerts'][-5:]]
        text = '\n'.join([*(str(now[key]) for key in ('message', 'hint') if now[key]), *told])
        at = f' at {now["step"]}' if now['step'] else ''
        headline = f'AMSLPR device {now["hostname"]}: {now["state"]}{at}, data {now["data"]}'
        if (headline, text) != shown:
            print(f'\033[2J\033[H{headline}\n{text}\n', flush=True)
            shown = (headline, text)
        if now['state'] == 'waiting' and now['step'] in ('data', 'data-open') and asked_for(now):
            name = asked_for(now)
            first = getpass.getpass(f'{name[0].upper()}{name[1:]}: ')
            if now['data'] == 'not made' and first and getpass.getpass('Once more: ') != first:
                print('The two differ.')
                continue
            if first:
                print(answer(ctx, 'unlock', first)[1])
                shown = ('', '')
        time.sleep(2)
