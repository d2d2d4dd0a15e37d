"""amslpr-device: what people and units ask of the device.

status [--json]     what it is doing or waiting for       (no sudo)
report              fingerprints, ids, versions           (no sudo)
bundle              the recovery bundle, encrypted        (no sudo)
unlock              give passphrase, PIN or recovery key  (no sudo)
set-passphrase      choose passphrase or PIN, the first time (no sudo)
unlock enrol        enrol the site's unlock method again  (sudo)
backup list         what backups there are                (no sudo)
backup create|verify|cat, restore FILE                    (sudo)
backup push set|key|show|test|off copies to a server by SFTP (sudo)
app list|update ARCHIVE|rollback  releases of the application (sudo)
tls show            the certificate, and how it is renewed (no sudo)
tls request         print a request for your authority (sudo)
tls install FILE    the certificate that it made of that (sudo)
tls renew           a new certificate, when it is due  (sudo)
tls public NAME     one of a public authority, by certbot (sudo)
tls private         the device's own again             (sudo)
mail show|set|password|ca|test    the relay for alerts   (sudo)
logs show|set|ca|client|off|test  the central log server (sudo)
integrity check|audit|show|accept PATH  files against the image (sudo)
monitor look|digest look for alerts now, or make the report (sudo)
adopt-board [--clone]  the card is in another board, and that is meant (sudo)
prove CODE          the bundle was decrypted: its code    (sudo)
audit [--json] [STAGE ...]  answer the image's checks     (sudo)
isolate [status|end]  cut the device off from all but the caller (sudo)
collect-evidence    what an incident left, to a file of yours (sudo)
support-bundle      states and versions for whoever helps, no secret (sudo)
rescue end          leave rescue: a normal start          (sudo)
first-boot, provision, stopped PHASE, rescue, serve, console: what the units run
"""

from __future__ import annotations

import getpass
import json
import os
import sys

from amslpr_device import service
from amslpr_device.context import Context


def main(arguments: list[str]) -> int:
    """Returns the exit code."""
    verb, rest = (arguments[0], arguments[1:]) if arguments else ('', [])
    if verb in ('first-boot', 'provision'):
        from amslpr_device import runner

        return runner.main(verb)
    if verb == 'stopped' and len(rest) == 1:
        from amslpr_device import runner

        return runner.stopped(rest[0])
    if verb == 'serve':
        return service.serve(Context())
    if verb == 'console':
        return service.console(Context())
    if verb == 'audit':
        from amslpr_device import audit

        return audit.main(rest)
    if verb == 'isolate':
        from amslpr_device.incident import isolate

        return isolate.main(Context(), rest)
    if verb == 'collect-evidence':
        from amslpr_device.incident import evidence

        return evidence.main(Context(), rest)
    if verb == 'support-bundle':
        from amslpr_device.incident import support

        return support.main(Context(), rest)
    if verb == 'rescue' and rest in ([], ['end']):
        from amslpr_device import rescue

        return rescue.end(Context()) if rest else rescue.say(Context())
    if verb == 'adopt-board' and rest in ([], ['--clone']):
        from amslpr_device import adopt_board

        return adopt_board.main(Context(), bool(rest), lambda: read('Recovery key of the first card: '))
    if verb == 'prove' and len(rest) == 1:
        return prove(Context(), rest[0])
    if verb in ('backup', 'restore'):
        return backup(verb, rest)
    if verb == 'app':
        from amslpr_device.app import command

        return command.main(rest)
    if verb == 'tls' and rest == ['renew']:
        from amslpr_device import certificate

        return certificate.main(Context())
    if verb == 'tls' and rest == ['show']:
        code, text = asked('tls show')
        print(text, end='', file=sys.stderr if code else sys.stdout)
        return code
    if verb == 'tls' and rest[:1] in (['request'], ['install']):
        from amslpr_device.authority import command as authority

        return authority.main(Context(), rest)
    if verb == 'tls' and rest[:1] in (['public'], ['private'], ['acme']):
        from amslpr_device import acme

        return acme.main(Context(), rest)
    if verb == 'mail':
        from amslpr_device.mail import command as mail

        return mail.main(rest)
    if verb == 'integrity':
        from amslpr_device.integrity import command as integrity

        return integrity.main(rest)
    if verb == 'logs':
        from amslpr_device.logs import command as logs

        return logs.main(rest)
    if verb == 'monitor':
        from amslpr_device.monitor import command as monitor

        return monitor.main(rest)
    if verb in ('status', 'report', 'bundle'):
        code, text = asked(verb)
        print(text if verb != 'status' or '--json' in rest else readable(text), end='')
        return code
    if verb == 'unlock' and rest == ['enrol']:
        return enrol(Context())
    if verb in ('unlock', 'set-passphrase') and not rest:
        return passphrase(verb)
    print(__doc__, file=sys.stderr)
    return 0 if verb in ('--help', '-h', 'help') else 2


def asked(verb: str, secret: str = '') -> tuple[int, str]:
    """Does it as root, or asks the service."""
    if os.geteuid() == 0:
        return service.answer(Context(), verb, secret)
    try:
        return service.ask(verb, secret)
    except PermissionError:
        return 1, 'only members of amslpr-admins may ask\n'
    except (OSError, ValueError) as error:
        return 1, f'the service does not answer: {error}\n'


def readable(text: str) -> str:
    """The status for people."""
    found = json.loads(text)
    lines = [f'{found["hostname"] or "device"}: {found["state"]}{" at " + found["step"] if found["step"] else ""}']
    steps = found.get('steps', {})
    every = [name for part in ('done', 'now', 'next') for name in steps.get(part, [])]
    if steps.get('now'):
        ahead = ', '.join(steps['next']) or 'none'
        lines.append(f'Step {len(steps["done"]) + 1} of {len(every)}: {steps["now"][0]}. Still to do: {ahead}')
    lines += [found['message']] if found['message'] else []
    lines += [f'Next: {found["hint"]}'] if found['hint'] else []
    lines.append(f'Data partition: {found["data"]} (unlock method: {found["unlock"] or "none yet"})')
    if found['isolated']:
        lines.append(f'Isolated {found["isolated"]}. To connect it again: sudo amslpr-device isolate end')
    if found['opened_by_recovery']:
        lines.append('It was opened by the recovery key. Next: sudo amslpr-device unlock enrol')
    if found['copies'] == 'none':
        lines.append('Backups: none has ever been copied off this card. Next: sudo amslpr-device backup push set')
    if found.get('request_waits'):
        from amslpr_device.authority.command import WAITS

        lines.append(WAITS)
    if found['clock'] != 'compared':
        lines.append('Clock: compared with no time server since the start, so it may be wrong')
    lines += [f'Alert: {one["text"]}' + (f'. Next: {one["hint"]}' if one['hint'] else '') for one in found['alerts']]
    proof = (
        'proven'
        if found['recovery'] == 'proven'
        else 'unproven: decrypt the bundle, then run: amslpr-device prove CODE'
    )
    return '\n'.join([*lines, f'Recovery: {proof}', ''])


def passphrase(verb: str) -> int:
    """Asks for the passphrase, twice when it is new; reads lines when there is no terminal."""
    code, text = asked('status')
    if code != 0:
        print(text, end='', file=sys.stderr)
        return code
    found = json.loads(text)
    is_new = found['data'] == 'not made'
    if verb == 'set-passphrase' and not is_new:
        print('the data partition is made already; open it with: amslpr-device unlock', file=sys.stderr)
        return 1
    word = found['unlock_word']
    first = (
        new_secret(word or 'passphrase')
        if is_new
        else read(f'{word[:1].upper()}{word[1:]} or recovery key: ' if word else 'Recovery key: ')
    )
    if first is None:
        return 1
    code, text = asked('unlock', first)
    print(text, end='', file=sys.stdout if code == 0 else sys.stderr)
    return code


def read(prompt: str) -> str:
    """A secret from the terminal, unseen, or a line of what is piped in."""
    return getpass.getpass(prompt) if sys.stdin.isatty() else sys.stdin.readline().rstrip('\n')


def new_secret(word: str) -> str | None:
    """Asks twice; None when the two differ."""
    first = read(f'New {word}: ')
    if read('Once more: ') == first:
        return first
    print('The two differ: nothing was done.', file=sys.stderr)
    return None


def enrol(ctx: Context) -> int:
    """Asks for the recovery key, and for a new passphrase or PIN where the method has one, and enrols."""
    if os.geteuid() != 0:
        print('sudo is needed: sudo amslpr-device unlock enrol', file=sys.stderr)
        return 1
    import subprocess

    from amslpr_device import unlock
    from amslpr_device.context import StepError
    from amslpr_device.steps import site
    from amslpr_device.unlock import enrol as work

    if not site.recall(ctx):
        print('there is no site yet', file=sys.stderr)
        return 1
    try:
        recovery = read('Recovery key: ').strip().encode()
        work.check(ctx, recovery)
        given = new_secret(unlock.word(ctx)) if unlock.asks_person(ctx) else ''
        if given is None:
            return 1
        work.enrol(ctx, recovery, given.encode())
    except StepError as error:
        print(error.message, f'Next: {error.hint}' if error.hint else '', sep='\n', file=sys.stderr)
        return 1
    print(f'{ctx.method} is enrolled again; other ways in but the recovery key are gone')
    if not ctx.is_mounted('/data') and not unlock.asks_person(ctx):
        subprocess.run(['systemctl', 'reset-failed', 'amslpr-provision.service'], capture_output=True, check=False)
        subprocess.run(['systemctl', 'restart', 'amslpr-provision.service'], capture_output=True, check=False)
    return 0


def backup(verb: str, rest: list[str]) -> int:
    """Backups are made by a program of their own; listing them needs no sudo."""
    if verb == 'backup' and rest == ['list'] and os.geteuid() != 0:
        code, text = asked('backup list')
        print(text, end='')
        return code
    if verb == 'backup' and rest[:1] == ['push']:
        from amslpr_device.push import command

        return command.main(rest[1:])
    from amslpr_device import backup as program

    return program.main(['restore', *rest] if verb == 'restore' else rest)


def prove(ctx: Context, code: str) -> int:
    """Records that somebody decrypted the bundle and read the code in it."""
    import hmac

    from amslpr_device.files import write_record
    from amslpr_device.steps.data import RECORD, proof_digest

    found = ctx.remember(RECORD)
    if not found.get('proof') or not hmac.compare_digest(proof_digest(found['proof'], code), found['proof_digest']):
        print("that is not the code of this device's bundle", file=sys.stderr)
        return 1
    write_record(ctx.state / RECORD, {**found, 'proven': True})
    print('recovery is proven')
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
