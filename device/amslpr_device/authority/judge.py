"""Whether a certificate of an authority can be this device's: all that is wrong with it at once, and what to know."""

from __future__ import annotations

import ipaddress
import re
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from amslpr_device.authority.read import Certificate, read, split
from amslpr_device.context import Context, StepError
from amslpr_device.monitor import facts as monitor
from amslpr_device.steps import tls

SPOKEN = '%Y-%m-%d %H:%M UTC'
SMALLEST_RSA = 2048


def judge(ctx: Context, raw: bytes, key: bytes) -> tuple[list[Certificate], list[str], list[str]]:
    """The certificates of a file for this public key, what is wrong with them, and what browsers will say."""
    blocks, wrong = split(raw)
    chain: list[Certificate] = []
    for number, block in enumerate(blocks, 1):
        try:
            chain.append(read(ctx, block))
        except StepError:
            wrong.append(f'certificate {number} of the file cannot be read: was it copied whole?')
    if not chain or len(chain) < len(blocks):
        return [], wrong, []
    leaf = chain[0]
    wrong += [*whose(chain, key), *times(ctx, chain), *named(ctx, leaf)]
    unfit = use(leaf)
    wrong += [*unfit, *(one for number, part in enumerate(chain, 1) for one in weak(part, number))]
    wrong += order(ctx, chain, 'sslserver' if not unfit else 'any')
    return chain, wrong, notes(ctx, chain)


def label(chain: list[Certificate], part: Certificate) -> str:
    """What it is called in a message."""
    number = chain.index(part) + 1
    return 'the certificate' if number == 1 else f'certificate {number} of the file ({part.subject})'


def whose(chain: list[Certificate], key: bytes) -> list[str]:
    """It must be for our key, and somebody else's word."""
    leaf, found = chain[0], []
    ours = [number for number, part in enumerate(chain, 1) if part.key == key]
    if not ours:
        found.append(
            'it is for another key: it was made for another request. Send the authority what '
            '`amslpr-device tls request` prints'
        )
    elif leaf.key != key:
        found.append(f"the device's certificate is number {ours[0]} of the file: it must be the first")
    if leaf.is_authority:
        found.append(f'the first certificate ({leaf.subject}) is that of an authority, not of a device')
    elif leaf.is_own:
        found.append('it is signed by itself, or its issuer has its name: the device makes such a certificate itself')
    return found


def times(ctx: Context, chain: list[Certificate]) -> list[str]:
    """Every one must be good now, and the device's for more than a day."""
    now = datetime.now(UTC)
    unsure = '' if monitor.kept(ctx) else ', which no time server has confirmed since the start'
    clock = f"the device's clock says {now:{SPOKEN}}{unsure}"
    found = []
    for part in chain:
        if part.begins > now:
            found.append(f'{label(chain, part)} is not valid yet: it begins {part.begins:{SPOKEN}}, and {clock}')
        if part.ends <= now:
            found.append(f'{label(chain, part)} is over: it ended {part.ends:{SPOKEN}}, and {clock}')
        elif part.ends <= now + timedelta(days=1):
            found.append(f'{label(chain, part)} ends within a day: {part.ends:{SPOKEN}}, and {clock}')
    return found


def covers(pattern: str, name: str) -> bool:
    """Whether a name of a certificate is this one; * stands for one label."""
    if tls.is_address(name) or tls.is_address(pattern):
        same = tls.is_address(name) and tls.is_address(pattern)
        return same and ipaddress.ip_address(pattern) == ipaddress.ip_address(name)
    return pattern == name or (pattern.startswith('*.') and '.' in name and pattern[2:] == name.split('.', 1)[1])


def lacking(leaf: Certificate, wanted: list[str]) -> list[str]:
    """Those that no name of the certificate covers."""
    return [name for name in wanted if not any(covers(pattern, name) for pattern in leaf.names)]


def named(ctx: Context, leaf: Certificate) -> list[str]:
    """It must name the host and what the site file says; an authority may have good reasons to leave out addresses."""
    site = [name for name in ctx.site.get('tls', {}).get('names', []) if not tls.is_address(name)]
    missing = lacking(leaf, list(dict.fromkeys([ctx.site['hostname'], *site])))
    if not missing:
        return []
    return [f'it lacks {", ".join(missing)}; it names {", ".join(leaf.names) or "nothing (subjectAltName)"}']


def use(leaf: Certificate) -> list[str]:
    """Browsers want to read that it is for servers."""
    found = []
    if leaf.uses is None or 'TLS Web Server Authentication' not in leaf.uses:
        found.append(
            f'it is not for servers (extendedKeyUsage serverAuth): it says {leaf.uses or "nothing of its use"}'
        )
    if leaf.key_uses is not None and 'Digital Signature' not in leaf.key_uses:
        found.append(f'its key may not sign (keyUsage digitalSignature), which TLS needs: it may {leaf.key_uses}')
    return found


def weak(part: Certificate, number: int) -> list[str]:
    """Keys and signatures that browsers refuse; nobody looks at the signature of a root."""
    found = []
    if part.kind == 'RSA' and part.bits < SMALLEST_RSA:
        found.append(f'certificate {number} has an RSA key of {part.bits} bits; {SMALLEST_RSA} are the least')
    if not part.is_own and any(word in part.signature.lower() for word in ('sha1', 'md5', 'md2', 'md4')):
        found.append(f'certificate {number} is signed with {part.signature}, which browsers refuse: SHA-256 is wanted')
    return found


def order(ctx: Context, chain: list[Certificate], purpose: str) -> list[str]:
    """Each must be signed by the next; then openssl looks at all together as a browser that trusts the last does."""
    with tempfile.TemporaryDirectory(dir=ctx.run_folder) as place:
        files = [Path(place, f'{number}.pem') for number in range(len(chain))]
        for path, part in zip(files, chain, strict=True):
            path.write_bytes(part.pem)
        # Times, keys and digests are told by others, so that one fault is not told as another.
        verify = ['openssl', 'verify', '-no_check_time', '-auth_level', '0', '-partial_chain', '-trusted']
        found = [
            gap(chain, number, fault)
            for number in range(len(chain) - 1)
            if (fault := complaint(ctx, [*verify, str(files[number + 1]), str(files[number])]))
        ]
        if len(chain) > 1 and not found:
            between = [word for path in files[1:-1] for word in ('-untrusted', str(path))]
            fault = complaint(ctx, [*verify, str(files[-1]), *between, '-purpose', purpose, str(files[0])])
            found += [f'openssl does not accept the chain: {fault}'] if fault else []
    return found


def complaint(ctx: Context, verify: list[str]) -> str:
    """What openssl finds wrong; empty for nothing."""
    try:
        ctx.run(verify)
    except StepError as error:
        said = re.search(r'lookup: *(.*)', error.message)
        return said[1] if said else ' '.join(error.message.split())[-200:]
    return ''


def gap(chain: list[Certificate], number: int, fault: str) -> str:
    """What is wrong between a certificate and the next."""
    part, after = chain[number], chain[number + 1]
    said = f'certificate {number + 1} ({part.subject}) is not signed by certificate {number + 2} ({after.subject})'
    if part.issuer == after.subject:
        return f'{said}, though that has the name of its issuer: {fault}'
    signer = next((place for place, one in enumerate(chain, 1) if one.subject == part.issuer and one != part), None)
    if part.is_own:
        return f'{said} but by itself: a root is the last of a file, or not in it'
    if signer is None:
        return f'{said}: its issuer, {part.issuer}, is not in the file'
    return f'{said} but by certificate {signer}: the order is wrong'


def notes(ctx: Context, chain: list[Certificate]) -> list[str]:
    """What is no fault, but somebody will ask."""
    last = chain[-1]
    told = [f'Browsers must trust: {last.issuer}']
    missing = lacking(chain[0], tls.names(ctx))
    if missing:
        told.append(f'Not named, so that browsers complain when the device is reached by it: {", ".join(missing)}')
    return told
