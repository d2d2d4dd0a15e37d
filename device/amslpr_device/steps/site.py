"""Makes /var/lib/amslpr-device/site.yaml: the accepted site, in the validator's spelling.

The file on the boot partition decides until an administrator has logged in (`amslpr_device.reprovision`); from then on
only the accepted copy does. Checked by validating the copy. A cut leaves nothing or the whole copy.
Without a site file the device waits: no secret, no port.
"""

from __future__ import annotations

from amslpr_device import reprovision, signature
from amslpr_device.context import Context, StepError, Waiting
from amslpr_device.files import write
from amslpr_device.site_file import Result, validate
from amslpr_device.yaml_subset import MAX_BYTES

NEARLY = ('site.yml', 'site.yaml.txt', 'site.yml.txt', 'site.txt')


def recall(ctx: Context) -> bool:
    """Reads the accepted copy into the context; False when there is none that is good."""
    try:
        result = validate((ctx.state / 'site.yaml').read_bytes())
    except OSError:
        return False
    if result.site is None or not result.ok:
        return False
    ctx.site = result.site
    return True


def offered(ctx: Context) -> tuple[bytes, Result] | None:
    """The file on the boot partition, its bytes and what the validator says; None when there is none."""
    try:
        with (ctx.boot / 'site.yaml').open('rb') as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StepError(
            f'site.yaml cannot be read: {error.strerror}', 'copy it onto the boot partition again'
        ) from error
    return raw, validate(raw)


def boot_is_there(ctx: Context) -> bool:
    """Whether the boot partition is mounted. A card that answers too late, or not, is no card without a site file."""
    return not ctx.real or ctx.boot.is_mount()


def product_ok(ctx: Context) -> bool:
    """Whether a site was accepted, and no other one is offered to a device that nobody has claimed yet."""
    if not recall(ctx):
        return False
    found = offered(ctx)
    if found is None or not found[1].ok:
        return True
    raw, result = found
    accepted = (ctx.state / 'site.yaml').read_text()
    if not reprovision.is_other(ctx, raw, result.canonical or '', accepted):
        return True
    if reprovision.claimed(ctx):
        print('amslpr: another site.yaml lies on the boot partition; it is ignored, since somebody has logged in: the')
        print('amslpr: site changes over SSH only, or by writing the card anew', flush=True)
        return True
    why = signature.wrong(ctx, raw)
    if why:
        print(f'amslpr: another site.yaml lies on the boot partition; it is ignored. {why}', flush=True)
        return True
    return False


def make(ctx: Context) -> None:
    """Accepts the offered file, or says what is wrong with it, or waits for one."""
    given = offered(ctx)
    if given is None and not boot_is_there(ctx):
        hint = 'start the device again; if that does not help, write the card again or use another one'
        raise StepError('the boot partition is not mounted, so that no site file can be read', hint)
    if given is None:
        near = [name for name in NEARLY if (ctx.boot / name).exists()]
        if near:
            raise Waiting(f'The site file is called {near[0]}', 'rename it to site.yaml, then start the device again')
        hint = 'copy site.yaml onto the first partition of the card, then start the device again'
        raise Waiting('There is no site file, so this device made no keys and opened no port.', hint)
    raw, found = given
    if not found.ok:
        told = [one.told for one in found.problems[:8]]
        raise Waiting('site.yaml is not good:\n' + '\n'.join(told), 'correct the file, then start the device again')
    why = signature.wrong(ctx, raw)
    if why:
        raise Waiting(why, f'{signature.HINT}, then start the device again')
    if recall(ctx):
        reprovision.take_back(ctx, ctx.site, found.site or {})
    reprovision.note_offered(ctx, raw, found.canonical or '')
    write(ctx.state / 'site.yaml', found.canonical or '', 0o600)
    recall(ctx)
