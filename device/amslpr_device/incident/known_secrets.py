"""The secrets that this device has, and how one is recognised: the support bundle looks for them before it goes out."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from amslpr_device.context import Context

SHORTEST = 6


def pem(text: str) -> list[str]:
    """The lines of a private key, without the first and the last one."""
    return [line for line in text.splitlines() if not line.startswith('-----')]


def fields(*names: str) -> Callable[[str], list[str]]:
    """Values of `name: value` and `name=value`, without quotes."""
    expression = re.compile(rf'^[ \t-]*(?:{"|".join(names)})[:=][ \t]*(.+?)[ \t]*$', re.M)
    return lambda text: [value.strip('"\'') for value in expression.findall(text)]


def hashes(text: str) -> list[str]:
    """The last part of each hash as crypt(5) writes it, behind method and salt."""
    return re.findall(r'\$[0-9a-z]+\$[^\s":]*\$([^\s":$]{20,})', text)


def whole(text: str) -> list[str]:
    """The file itself."""
    return [text.strip('\n')]


def values(text: str) -> list[str]:
    """Every text of JSON whose name speaks of a secret, and hashes."""

    def search(found: Any, named: bool) -> Iterator[str]:
        if isinstance(found, dict):
            for key, value in found.items():
                secret = re.search(r'pass|secret|token|salt|hash|proof|key|psk', key, re.I) is not None
                yield from search(value, secret)
        elif isinstance(found, list):
            for value in found:
                yield from search(value, named)
        elif isinstance(found, str):
            # A camera's address may hold its password, whatever it is called.
            yield from re.findall(r'://[^/@\s]*:([^/@\s]+)@', found)
            if named:
                yield found

    try:
        return [*hashes(text), *search(json.loads(text), False)]
    except ValueError:
        return words(text)


def words(text: str) -> list[str]:
    """Everything without a space, and without what stands before an equals sign; not short words without a digit."""
    every = [word for line in text.splitlines() for word in re.split(r'\s+|^[A-Za-z_]+=', line)]
    return [word for word in every if len(word) >= 12 or re.search(r'\d', word)]


# docs/secrets.md has the first nine, and a test compares; the others lie on the encrypted partition.
SOURCES: list[tuple[str, Callable[[str], list[str]]]] = [
    ('/etc/NetworkManager/system-connections/amslpr-wifi.nmconnection', fields('psk')),
    ('/etc/shadow', hashes),
    ('/etc/shadow-', hashes),
    ('/etc/ssh/ssh_host_ed25519_key', pem),
    ('/var/lib/NetworkManager/secret_key', whole),
    ('/var/lib/systemd/random-seed', whole),
    ('/var/lib/amslpr-device/data.json', values),
    ('/var/lib/amslpr-device/keys/data.key', whole),
    ('/var/lib/amslpr-device/site.yaml', fields('psk', 'enrolment-token', 'sudo-password-hash')),
    ('/boot/firmware/site.yaml', fields('psk', 'enrolment-token', 'sudo-password-hash')),
    ('/var/lib/amslpr-device/keys/*', whole),
    ('/etc/amslpr/ssl/*.pem', lambda text: pem(text) if 'PRIVATE KEY' in text else []),
    ('/etc/amslpr/secrets/*', words),
    ('/var/lib/amslpr/config/crypto.key', whole),
    ('/var/lib/amslpr/config/*.json', values),
    ('/etc/amslpr/*.json', values),
    ('/run/amslpr-device/passphrase', whole),
]
# Public keys, and a server with its.
PUBLIC = {'/etc/amslpr/secrets/backup-recipients', '/etc/amslpr/secrets/backup-push.json'}


def secrets(ctx: Context) -> Iterator[tuple[str, bytes]]:
    """Path and secret; each of SHORTEST bytes or more, since a shorter one would be seen everywhere."""
    for pattern, take in SOURCES:
        for path in ctx.root.glob(pattern.lstrip('/')):
            name = '/' + str(path.relative_to(ctx.root))
            if name in PUBLIC or not path.is_file():
                continue
            for found in take(path.read_bytes().decode('latin-1')):
                if len(found) >= SHORTEST:
                    yield name, found.encode('latin-1')


def spellings(secret: bytes) -> list[bytes]:
    """Itself, in hexadecimal, and what base64 makes of it wherever it starts."""
    found = [secret, secret.hex().encode(), secret.hex().upper().encode()]
    for shift in range(3):
        text = base64.b64encode(bytes(shift) + secret).rstrip(b'=')
        # The first and last characters hold bits of what is beside it.
        text = text[0 if shift == 0 else shift + 1 : None if (shift + len(secret)) % 3 == 0 else -1]
        found += [text, text.replace(b'+', b'-').replace(b'/', b'_')]
    return found


def leaks(ctx: Context, data: bytes) -> str:
    """The path of a secret that is in the data, in any spelling; empty when there is none."""
    for name, secret in secrets(ctx):
        if any(one in data for one in spellings(secret)):
            return name
    return ''
