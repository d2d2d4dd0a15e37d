"""What single values of a site file may be. Each function returns the value in its one spelling or raises Wrong."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
import struct
from collections.abc import Callable
from functools import cache
from pathlib import Path

RSA_BITS = 3072
SK_TYPES = ('sk-ssh-ed25519@openssh.com', 'sk-ecdsa-sha2-nistp256@openssh.com')
# Names that belong to the system or to us; an administrator with one of them would be somebody else.
TAKEN = frozenset(
    'root daemon bin sys sync games man lp mail news uucp proxy www-data backup list irc _apt nobody messagebus sshd '
    'systemd-network systemd-timesync polkitd amslpr amslpr-backup amslpr-admins admin sudo adm users nogroup'.split()
)
# Where the time zones of this machine are.
ZONES = Path('/usr/share/zoneinfo')
LABEL = re.compile(r'(?!-)[a-z0-9-]{1,63}(?<!-)')


class Wrong(Exception):
    """A value that cannot be taken: what is wrong with it, and what to do."""

    def __init__(self, message: str, hint: str = '') -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def choice(*allowed: str) -> Callable[[str], str]:
    """One of a few words."""

    def check(text: str) -> str:
        if text in allowed:
            return text
        raise Wrong(f'one of {", ".join(allowed)} is wanted, found `{text[:40]}`')

    return check


def truth(text: str) -> bool:
    """`true` or `false`."""
    if text in ('true', 'false'):
        return text == 'true'
    raise Wrong(f'true or false is wanted, found `{text[:40]}`', 'yes, no, on and off are not taken')


def label(text: str) -> str:
    """A name for people: one line of at most 64 printable characters."""
    if re.fullmatch(r'[^\W_][\w .,()-]{0,63}', text) and text == text.strip():
        return text
    raise Wrong('a name has at most 64 letters, digits, spaces and .,()-_, and starts with a letter or digit')


def hostname(text: str) -> str:
    """One label of a host name, lower case."""
    if text == 'localhost':
        raise Wrong('the host name `localhost` means every machine itself', 'take another one')
    if LABEL.fullmatch(text) and not text.isdigit():
        return text
    hint = 'lower-case letters, digits and hyphens, at most 63, no dots, not digits alone'
    raise Wrong(f'`{text[:40]}` is no host name', hint)


def domain(text: str) -> str:
    """A DNS name of labels, lower case."""
    labels = text.split('.')
    if len(text) <= 253 and all(LABEL.fullmatch(one) for one in labels) and not labels[-1].isdigit():
        return text
    raise Wrong(f'`{text[:60]}` is no DNS name', 'labels of lower-case letters, digits and hyphens with dots between')


def tls_name(text: str) -> str:
    """What a certificate can be for: a DNS name or an address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return domain(text)
    return address(text)


def address(text: str) -> str:
    """An IPv4 or IPv6 address."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        raise Wrong(f'`{text[:60]}` is no IP address', 'write it as 192.0.2.1 or 2001:db8::1') from None
    _plain_address(found, text)
    if found.is_unspecified or found.is_multicast or found.is_loopback:
        raise Wrong(f'`{text[:60]}` is the address of no single machine', 'give the address of the machine itself')
    return str(found)


def _plain_address(found: ipaddress.IPv4Address | ipaddress.IPv6Address, text: str) -> None:
    """Refuses an IPv6 zone, which may hold any text, and IPv4 in IPv6, which Python's versions spell differently."""
    if '%' in text:
        raise Wrong(f'`{text[:60]}` names an interface behind the %', 'leave out the % and what follows')
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        raise Wrong(f'`{text[:60]}` is an IPv4 address in IPv6', f'write {found.ipv4_mapped}')


def interface(text: str) -> str:
    """An address with the length of its prefix: 192.0.2.10/24."""
    try:
        if '/' not in text:
            raise ValueError
        found = ipaddress.ip_interface(text)
    except ValueError:
        raise Wrong(f'`{text[:60]}` is no address with a prefix length', 'write it as 192.0.2.10/24') from None
    _plain_address(found.ip, text)
    if found.ip.is_unspecified or found.ip.is_multicast or found.ip.is_loopback or found.network.prefixlen == 0:
        raise Wrong(f'`{text[:60]}` cannot be the address of a device', 'give its own address: 192.0.2.10/24')
    if (
        found.network.num_addresses > 2
        and found.version == 4
        and found.ip
        in (
            found.network.network_address,
            found.network.broadcast_address,
        )
    ):
        raise Wrong(f'`{text}` is the network itself or its broadcast address', "give the device's own address")
    return str(found)


def port(text: str) -> str:
    """A TCP port."""
    if re.fullmatch(r'[1-9][0-9]{0,4}', text) and int(text) <= 65535:
        return text
    raise Wrong(f'`{text[:40]}` is no port', '1 to 65535')


def vlan(text: str) -> str:
    """The number of a VLAN."""
    if re.fullmatch(r'[1-9][0-9]{0,3}', text) and int(text) <= 4094:
        return text
    raise Wrong(f'`{text[:40]}` is no number of a VLAN', '1 to 4094')


def mail_address(text: str) -> str:
    """An address of the plain form NAME@DOMAIN."""
    name, at, place = text.rpartition('@')
    if at and len(text) <= 200 and re.fullmatch(r'[A-Za-z0-9][A-Za-z0-9.+_-]{0,63}', name):
        return f'{name}@{domain(place.lower())}'
    raise Wrong(f'`{text[:60]}` is no mail address', 'write it as alerts@example.com')


def mail_user(text: str) -> str:
    """The name of an account at a mail relay."""
    if re.fullmatch(r'[\x21-\x7e]{1,128}', text):
        return text
    raise Wrong(f'`{text[:60]}` is no account name', 'printable ASCII without spaces, at most 128 characters')


def tang_url(text: str) -> str:
    """Where a tang server answers: http://NAME[:PORT][/PATH]. TLS adds nothing: what passes is worth nothing alone."""
    match = re.fullmatch(r'https?://(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(?::([1-9][0-9]{0,4}))?((?:/[A-Za-z0-9._~-]+)*)', text)
    if match is None or len(text) > 200:
        hint = 'write it as http://tang.example:7500, in lower case, without a slash at the end'
        raise Wrong(f'`{text[:60]}` is no address of a tang server', hint)
    if match[2] and int(match[2]) > 65535:
        raise Wrong(f'{match[2]} is no port', 'ports go up to 65535')
    tls_name(match[1].strip('[]'))
    return text


def thumbprint(text: str) -> str:
    """SHA-256 of the server's signing key, as tang-show-keys prints it."""
    if re.fullmatch(r'[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]', text):
        return text
    hint = 'run tang-show-keys on the server: 43 letters, digits, - and _; older ones of 27 are not taken'
    raise Wrong(f'`{text[:60]}` is no thumbprint of a tang server', hint)


def network(text: str) -> str:
    """A network as 192.0.2.0/24."""
    try:
        found = ipaddress.ip_network(text)
    except ValueError:
        raise Wrong(f'`{text[:60]}` is no network', 'write it as 192.0.2.0/24, with zeros behind the prefix') from None
    _plain_address(found.network_address, text)
    if found.prefixlen == 0:
        raise Wrong(f'`{text}` is the whole Internet', 'leave the entry out to allow SSH from everywhere')
    return str(found)


def timezone(text: str) -> str:
    """A name of the time-zone database, such as Europe/London."""
    if text == 'UTC' or (re.fullmatch(r'[A-Z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){1,2}', text) and _known_zone(text)):
        return text
    raise Wrong(f'`{text[:40]}` is no time zone', 'take UTC or the name of an area and city, such as Europe/London')


def _known_zone(text: str) -> bool:
    """Whether the device has the zone: those of zone.tab and Etc. Hosts may know retired names, the device does not."""
    if not (ZONES / 'zone.tab').is_file():
        return True
    return text in _zones() or (text.startswith('Etc/') and (ZONES / text).is_file())


@cache
def _zones() -> frozenset[str]:
    lines = (ZONES / 'zone.tab').read_text('utf-8').splitlines()
    return frozenset(line.split('\t')[2] for line in lines if line and not line.startswith('#'))


def account(text: str) -> str:
    """The name of an administrator's account."""
    if not re.fullmatch(r'[a-z][a-z0-9_-]{0,30}', text):
        raise Wrong(f'`{text[:40]}` is no account name', 'a lower-case letter, then at most 30 of a-z, 0-9, _ and -')
    if text in TAKEN or text.startswith(('systemd-', 'amslpr')):
        raise Wrong(f'the name `{text}` belongs to the system', 'take another one')
    return text


def password_hash(text: str) -> str:
    """A crypt(3) hash by yescrypt or SHA-512."""
    yescrypt = r'\$y\$[./A-Za-z0-9]{1,10}\$[./A-Za-z0-9]{1,86}\$[./A-Za-z0-9]{43}'
    sha512 = r'\$6\$(rounds=[1-9][0-9]{3,8}\$)?[./A-Za-z0-9]{1,16}\$[./A-Za-z0-9]{86}'
    if re.fullmatch(yescrypt, text) or re.fullmatch(sha512, text):
        return text
    raise Wrong('this is no password hash by yescrypt ($y$) or SHA-512 ($6$)', 'make one with: mkpasswd -m yescrypt')


def country(text: str) -> str:
    """A two-letter country code, which sets the channels that Wi-Fi may use."""
    if re.fullmatch(r'[A-Z]{2}', text) and text not in ('XX', 'ZZ', 'AA'):
        return text
    raise Wrong(f'`{text[:10]}` is no country code', 'two capital letters, such as GB or DE')


def ssid(text: str) -> str:
    """A Wi-Fi name: 1 to 32 bytes, printable."""
    if 1 <= len(text.encode()) <= 32 and text.isprintable():
        return text
    raise Wrong(f'a Wi-Fi name has 1 to 32 bytes of printable text, this one has {len(text.encode())}')


def psk(text: str) -> str:
    """A Wi-Fi passphrase of 8 to 63 ASCII characters, or the key itself as 64 hexadecimal digits."""
    if re.fullmatch(r'[ -~]{8,63}', text) or re.fullmatch(r'[0-9A-Fa-f]{64}', text):
        return text
    if not text.isascii():
        raise Wrong(
            'a Wi-Fi passphrase has ASCII characters only', 'change it at the access point, or write its 64 digits'
        )
    raise Wrong(f'a Wi-Fi passphrase has 8 to 63 characters, this one has {len(text)}')


def token(text: str) -> str:
    """The one-time enrolment token that `personalize` writes."""
    if re.fullmatch(r'[A-Za-z0-9_-]{43}', text):
        return text
    raise Wrong('this is no enrolment token', 'remove the line; `personalize` writes a new one')


def _fields(blob: bytes) -> list[bytes]:
    """The length-prefixed fields of a public key. Raises Wrong when they do not fill it exactly."""
    found: list[bytes] = []
    at = 0
    while at < len(blob):
        if at + 4 > len(blob):
            raise Wrong('the key is cut short', 'copy the whole line of the .pub file')
        (size,) = struct.unpack('>I', blob[at : at + 4])
        if size > len(blob) - at - 4:
            raise Wrong('the key is cut short', 'copy the whole line of the .pub file')
        found.append(blob[at + 4 : at + 4 + size])
        at += 4 + size
    return found


def ssh_key(text: str) -> str:
    """A public key as `type base64 comment`: ed25519, a security key, or RSA from 3072 bits. Tidies the comment."""
    parts = text.split(None, 2)
    kind = parts[0] if parts else ''
    if 'PRIVATE KEY' in text:
        raise Wrong(
            'this is a private key', 'give the line of the .pub file; make a new key, since this one was copied'
        )
    if kind not in ('ssh-ed25519', 'ssh-rsa', *SK_TYPES):
        hint = 'ed25519, sk- keys and RSA from 3072 bits are taken; make one with: ssh-keygen -t ed25519'
        raise Wrong(f'keys of the type `{kind[:40]}` are not taken', hint)
    if len(parts) < 2:
        raise Wrong('the key has no second word', 'copy the whole line of the .pub file')
    try:
        blob = base64.b64decode(parts[1], validate=True)
    except (binascii.Error, ValueError):
        raise Wrong("the key's second word is not base64", 'copy the whole line of the .pub file') from None
    fields = _fields(blob)
    if not fields or fields[0] != kind.encode():
        raise Wrong(f'the key says {kind}, but is of another type inside', 'copy the whole line of the .pub file')
    _check_key(kind, fields)
    comment = re.sub(r'[^A-Za-z0-9@._+-]+', '-', parts[2].strip())[:64].strip('-') if len(parts) == 3 else ''
    return f'{kind} {base64.b64encode(blob).decode()}{" " + comment if comment else ""}'


def _check_key(kind: str, fields: list[bytes]) -> None:
    """Whether the numbers of a key are what its type says."""
    if kind == 'ssh-ed25519' and (len(fields) != 2 or len(fields[1]) != 32):
        raise Wrong('an ed25519 key has 32 bytes, this one has not', 'copy the whole line of the .pub file')
    if kind == SK_TYPES[0] and (len(fields) != 3 or len(fields[1]) != 32):
        raise Wrong('this is no whole sk-ssh-ed25519 key', 'copy the whole line of the .pub file')
    if kind == SK_TYPES[1] and (len(fields) != 4 or fields[1] != b'nistp256' or len(fields[2]) != 65):
        raise Wrong('this is no whole sk-ecdsa key', 'copy the whole line of the .pub file')
    if kind == 'ssh-rsa':
        if len(fields) != 3:
            raise Wrong('this is no whole RSA key', 'copy the whole line of the .pub file')
        bits = int.from_bytes(fields[2], 'big').bit_length()
        exponent = int.from_bytes(fields[1], 'big')
        if not RSA_BITS <= bits <= 16384:
            raise Wrong(
                f'the RSA key has {bits} bits, {RSA_BITS} to 16384 are taken', 'make one with: ssh-keygen -t ed25519'
            )
        if exponent < 65537 or exponent % 2 == 0:
            raise Wrong('the RSA key has a weak exponent', 'make one with: ssh-keygen -t ed25519')


BECH32 = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l'


def _bech32_checksum(prefix: str, digits: list[int]) -> int:
    """BIP 173's checksum; 1 for a right one."""
    generators = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
    state = 1
    for value in [*(ord(c) >> 5 for c in prefix), 0, *(ord(c) & 31 for c in prefix), *digits]:
        top = state >> 25
        state = (state & 0x1FFFFFF) << 5 ^ value
        for index, generator in enumerate(generators):
            if top >> index & 1:
                state ^= generator
    return state


def recipient(text: str) -> str:
    """Whom the recovery bundle is encrypted to: an age1 key, or an SSH public key that can decrypt."""
    if text.upper().startswith('AGE-SECRET-KEY-'):
        raise Wrong('this is a secret age key', 'give the age1… line; make a new key, since this one was copied')
    if text.startswith('age1'):
        data = text[4:]
        if '1' in data:
            raise Wrong('keys of age plugins are not taken', 'give an age1… key made by age-keygen, or an SSH key')
        digits = [BECH32.find(char) for char in data]
        # 58 digits are 32 bytes, four bits that are zero, and the checksum.
        right = len(digits) == 58 and min(digits) >= 0 and digits[51] % 16 == 0
        if not right or _bech32_checksum('age', digits) != 1:
            raise Wrong('the age key has a letter wrong or missing', 'copy the whole age1… line')
        return text
    if text.startswith('sk-'):
        raise Wrong('a security key cannot decrypt the recovery bundle', 'give an age1 key or an ed25519 or RSA key')
    return ssh_key(text)
