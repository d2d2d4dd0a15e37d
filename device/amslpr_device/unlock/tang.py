"""The method `tang`: a server on the network helps to open the key, and learns nothing of it.

clevis does the cryptography. The server is known by the thumbprint of its signing key, which the site file has; what
clevis made, /var/lib/amslpr-device/keys/tang.jwe, is worth nothing without the server. A server that is not there is
asked again until it is.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request

from amslpr_device.context import Context, StepError, Waiting
from amslpr_device.files import make_folder, write
from amslpr_device.unlock.hints import AGAIN, RECOVER

RECORD = 'keys/tang.jwe'
SECONDS = 10
# clevis itself waits for a silent server for minutes.
PATIENT = ['timeout', '60']


def ready(ctx: Context) -> None:
    """Whether the server answers and has the key whose thumbprint the site file gives."""
    probe(ctx, f'look at the server and the network; {AGAIN}')


def probe(ctx: Context, hint: str) -> None:
    """Asks for the one advertisement that its pinned key signs; clevis looks at the signature."""
    url, thumbprint = (str(ctx.site['unlock']['tang'][key]) for key in ('url', 'thumbprint'))
    # No redirects to elsewhere are followed by clevis either; proxies of the environment are not for this.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        opener.open(f'{url}/adv/{thumbprint}', timeout=SECONDS).close()
    except urllib.error.HTTPError as error:
        error.close()
        message = f'The server at {url} has no key with the thumbprint of the site file ({error.code} {error.reason}).'
        raise Waiting(message, hint, again=True) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, 'reason', error)
        raise Waiting(f'The tang server at {url} cannot be reached: {reason}', hint, again=True) from error


def keep(ctx: Context, key: bytes, given: bytes) -> None:
    """Has clevis encrypt the key to the pinned server."""
    found = ctx.site['unlock']['tang']
    config = json.dumps({'url': found['url'], 'thp': found['thumbprint']})
    try:
        made = ctx.run([*PATIENT, 'clevis', 'encrypt', 'tang', config], give=key)
    except StepError as error:
        hint = 'look at the server and its thumbprint (tang-show-keys)'
        raise Waiting(f'The tang server did not take part: {error.message}', hint, again=True) from error
    make_folder((ctx.state / RECORD).parent, 0o700)
    write(ctx.state / RECORD, made, 0o600)


def recall(ctx: Context, given: bytes) -> bytes:
    """Has clevis and the server open it."""
    try:
        made = (ctx.state / RECORD).read_bytes()
    except OSError as error:
        raise Waiting(f'What clevis made cannot be read: {error.strerror}', RECOVER) from error
    hint = f'look at the server and the network; {AGAIN}. Or {RECOVER}'
    probe(ctx, hint)
    try:
        return ctx.run([*PATIENT, 'clevis', 'decrypt'], give=made)
    except StepError as error:
        raise Waiting(f'The tang server did not open the key: {error.message}', hint, again=True) from error
