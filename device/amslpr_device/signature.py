"""Signed site files: an image may be built with `site.signers`, and then takes no other ones.

The signature lies beside the file as site.yaml.sig: SSHSIG in the namespace `amslpr-site`, over the bytes of site.yaml,
as `personalize --sign` or `ssh-keygen -Y sign -n amslpr-site` make it. Whatever is not clearly good is refused.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from amslpr_device.context import Context, StepError

SIGNERS = '/usr/share/amslpr/site-signers'
NAME = 'site.yaml.sig'
NAMESPACE = 'amslpr-site'
IDENTITY = 'site'
MAX_BYTES = 16 * 1024
HINT = f'sign it: ssh-keygen -Y sign -f KEY -n {NAMESPACE} site.yaml, and copy site.yaml.sig beside it'


def wrong(ctx: Context, raw: bytes) -> str:
    """Why these bytes of a site file are not taken; empty when they are signed, or need not be."""
    signers = ctx.at(SIGNERS)
    # A link to nothing is there too: when it is not clear whether signatures are wanted, they are.
    if not signers.exists() and not signers.is_symlink():
        return ''
    try:
        with (ctx.boot / NAME).open('rb') as file:
            signature = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return f'This device takes signed site files only, and there is no {NAME}.'
    except OSError as error:
        return f'{NAME} cannot be read: {error.strerror}.'
    if len(signature) > MAX_BYTES:
        return f'{NAME} is no signature: it has more than {MAX_BYTES} bytes.'
    # What was read is what is judged, whatever becomes of the card meanwhile.
    with tempfile.TemporaryDirectory(dir=ctx.run_folder) as folder:
        path = Path(folder) / NAME
        path.write_bytes(signature)
        verify = ['ssh-keygen', '-Y', 'verify', '-f', str(signers), '-I', IDENTITY, '-n', NAMESPACE, '-s', str(path)]
        try:
            ctx.run(verify, give=raw)
        except StepError as error:
            return f'The signature of site.yaml is not good: {error.message}.'
    return ''
