"""Certificates out of a file in PEM: what is in it, and what each of them says, by openssl."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import re
from dataclasses import dataclass
from datetime import UTC, datetime

from amslpr_device.context import Context, StepError
from amslpr_device.steps.tls import is_address, sans

# A chain of ten large ones has a third of it.
MOST_BYTES = 65_536
MOST = 10
BLOCK = re.compile(rb'-----BEGIN ([A-Z0-9 ]+)-----\s.*?-----END \1-----', re.S)
# As people read it: in the order of RFC 2253, letters of every language, but no control characters.
NAMES = ('-nameopt', 'RFC2253,-esc_msb')
OTHERS = {
    b'PKCS7': 'it is PKCS #7 (.p7b): have the authority give it as PEM, each certificate by itself',
    b'CERTIFICATE REQUEST': 'it is the request: what the authority made of it is wanted',
    b'NEW CERTIFICATE REQUEST': 'it is the request: what the authority made of it is wanted',
}


@dataclass(frozen=True)
class Certificate:
    """What a certificate says."""

    pem: bytes
    subject: str
    issuer: str
    begins: datetime
    ends: datetime
    names: tuple[str, ...]
    fingerprint: str
    key: bytes
    key_digest: str
    kind: str
    bits: int
    signature: str
    is_authority: bool
    uses: str | None
    key_uses: str | None

    @property
    def is_own(self) -> bool:
        """Whether it was signed by itself."""
        return self.subject == self.issuer


def split(raw: bytes) -> tuple[list[bytes], list[str]]:
    """The certificates of a file, each by itself, and what else is wrong with the file."""
    if len(raw) > MOST_BYTES:
        return [], [f'it has more than {MOST_BYTES // 1024} KiB: only the certificate and its intermediates are wanted']
    wrong = []
    if b'PRIVATE KEY-----' in raw:
        wrong.append(
            'there is a private key in it. Keep that away from the device, which has its own, and delete it wherever '
            'it was copied to; a certificate for it is of no use here'
        )
    found = [(match[1], match[0]) for match in BLOCK.finditer(raw)]
    wrong += [OTHERS[label] for label in dict.fromkeys(label for label, _ in found) if label in OTHERS]
    blocks = [block for label, block in found if label == b'CERTIFICATE']
    if not blocks and not wrong:
        binary = raw[:1] == b'\x30'
        wrong.append(
            'it is no PEM' + (' but binary (DER, .cer, .p12)' if binary else '') + ': '
            'lines with -----BEGIN CERTIFICATE----- are wanted, the certificate first and then its intermediates'
        )
    if len(blocks) > MOST:
        return [], [*wrong, f'there are {len(blocks)} certificates in it, more than {MOST}']
    return blocks, wrong


def read(ctx: Context, pem: bytes) -> Certificate:
    """Has openssl read one; raises StepError when it cannot."""
    shown = ['-subject', '-issuer', '-startdate', '-enddate', '-fingerprint', '-sha256', '-text', '-pubkey', *NAMES]
    out = ctx.run(['openssl', 'x509', *shown], give=pem)
    told = out.decode(errors='replace')
    blocks = {match[1]: match[0] + b'\n' for match in BLOCK.finditer(out)}
    key = blocks[b'PUBLIC KEY']
    der = base64.b64decode(b''.join(key.splitlines()[1:-1]))
    hashed = re.search(r'Hash Algorithm: (\S+)', told)
    signature = first(r'Signature Algorithm: (\S+)', told) or ''
    return Certificate(
        pem=blocks[b'CERTIFICATE'],
        subject=first(r'^subject=\s*(.*)$', told) or '',
        issuer=first(r'^issuer=\s*(.*)$', told) or '',
        begins=time(first(r'^notBefore=(.*) GMT$', told)),
        ends=time(first(r'^notAfter=(.*) GMT$', told)),
        names=tuple(plain(name) for name in sans(first(r'X509v3 Subject Alternative Name:[^\n]*\n(.*)$', told) or '')),
        fingerprint=(first(r'Fingerprint=(\S+)$', told) or '').upper(),
        key=key,
        key_digest=hashlib.sha256(der).hexdigest(),
        kind='RSA' if re.search(r'Public Key Algorithm: rsa', told) else 'other',
        bits=int(first(r'Public-Key: \((\d+) bit', told) or 0),
        signature=f'{signature} with {hashed[1]}' if hashed and 'pss' in signature.lower() else signature,
        is_authority='CA:TRUE' in (first(r'X509v3 Basic Constraints:[^\n]*\n(.*)$', told) or ''),
        uses=first(r'X509v3 Extended Key Usage:[^\n]*\n\s*(.*)$', told),
        key_uses=first(r'X509v3 Key Usage:[^\n]*\n\s*(.*)$', told),
    )


def plain(name: str) -> str:
    """A name of a certificate; openssl prints addresses at their full length."""
    return str(ipaddress.ip_address(name)) if is_address(name) else name


def first(pattern: str, told: str) -> str | None:
    """The group of a pattern, where it is found first."""
    found = re.search(pattern, told, re.M)
    return found[1] if found else None


def time(text: str | None) -> datetime:
    """A time as openssl prints it."""
    if text is None:
        raise StepError('openssl tells no time of it')
    return datetime.strptime(text, '%b %d %H:%M:%S %Y').replace(tzinfo=UTC)
