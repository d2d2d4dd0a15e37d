"""The one validator of site files: the device runs it at first boot, hosts run it before they stamp an image.

Usage: python3 -m amslpr_device.site_file FILE [--json | --canonical]
Prints {ok, site, canonical, digest, problems: [{line, column, message, hint}]}, the canonical text, or plain messages.
Exit code 0 for a good file, 1 for a bad one, 2 when it cannot be read. Uses nothing but Python's own library.
"""

from __future__ import annotations

import difflib
import hashlib
import ipaddress
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from amslpr_device import site_values as values
from amslpr_device.yaml_subset import MAX_BYTES, MAX_PROBLEMS, Mapping, Node, Problem, Scalar, Sequence, decode, parse

UNLOCK_METHODS = ('passphrase', 'tang', 'tpm2', 'usb-key', 'card')


@dataclass(frozen=True)
class Value:
    """Text that `check` accepts and spells."""

    check: Callable[[str], Any]
    required: bool = False


@dataclass(frozen=True)
class Items:
    """A list of at most `most` entries, and at least `least`."""

    of: Value | Fields
    least: int = 0
    most: int = 32
    required: bool = False


@dataclass(frozen=True)
class Fields:
    """A map with these keys and no others; their order is the canonical one."""

    keys: dict[str, Value | Items | Fields] = field(default_factory=dict)
    required: bool = False


# Where alerts and digests go. The password is given on the device: it would lie in the open on the card here.
MAIL = Fields(
    {
        'server': Value(values.tls_name, required=True),
        'port': Value(values.port),
        'security': Value(values.choice('tls', 'starttls')),
        'user': Value(values.mail_user),
        'from': Value(values.mail_address, required=True),
        'to': Items(Value(values.mail_address), least=1, most=8, required=True),
    }
)
# A central log server: syslog over TLS.
LOGS = Fields({'server': Value(values.tls_name, required=True), 'port': Value(values.port)})
SITE = Fields(
    {
        'format': Value(values.choice('1'), required=True),
        'name': Value(values.label, required=True),
        'hostname': Value(values.hostname, required=True),
        'timezone': Value(values.timezone),
        'admins': Items(
            Fields(
                {
                    'name': Value(values.account, required=True),
                    'keys': Items(Value(values.ssh_key), least=1, most=16, required=True),
                    'recovery': Value(values.truth),
                    'sudo-password-hash': Value(values.password_hash),
                }
            ),
            least=1,
            required=True,
        ),
        'recovery': Fields(
            {
                'recipients': Items(Value(values.recipient), least=1),
                'single-recipient-accepted': Value(values.label),
            }
        ),
        'network': Fields(
            {
                'wired': Fields(
                    {
                        'method': Value(values.choice('dhcp', 'static'), required=True),
                        'address': Value(values.interface),
                        'gateway': Value(values.address),
                        'dns': Items(Value(values.address), most=3),
                    }
                ),
                'wifi': Fields(
                    {
                        'country': Value(values.country, required=True),
                        'ssid': Value(values.ssid, required=True),
                        'psk': Value(values.psk, required=True),
                    }
                ),
                'management': Items(Value(values.network), least=1),
                'ssh-link-local': Value(values.truth),
                'cameras': Fields(
                    {
                        'vlan': Value(values.vlan, required=True),
                        'address': Value(values.interface, required=True),
                        'ports': Items(Value(values.port), least=1, most=16),
                    }
                ),
            }
        ),
        'tls': Fields(
            {
                'names': Items(Value(values.tls_name)),
                'mode': Value(values.choice('self-signed', 'csr')),
            }
        ),
        'mail': MAIL,
        'logs': LOGS,
        'unlock': Fields(
            {
                'method': Value(values.choice(*UNLOCK_METHODS), required=True),
                'tang': Fields(
                    {
                        'url': Value(values.tang_url, required=True),
                        'thumbprint': Value(values.thumbprint, required=True),
                    }
                ),
                'pin': Value(values.truth),
                'accept-no-automatic-reboot': Value(values.truth),
            },
            required=True,
        ),
        'data': Fields({'existing': Value(values.choice('keep', 'erase', 'adopt'), required=True)}),
        'enrolment-token': Value(values.token),
    }
)


@dataclass
class Result:
    """What became of a file. `site` and `canonical` are there when nothing is wrong."""

    problems: list[Problem]
    site: dict[str, Any] | None = None
    canonical: str | None = None

    @property
    def ok(self) -> bool:
        """Whether the file can be used."""
        return self.site is not None and not self.problems

    @property
    def digest(self) -> str | None:
        """SHA-256 of the canonical text, in hexadecimal."""
        return None if self.canonical is None else hashlib.sha256(self.canonical.encode()).hexdigest()


def validate(raw: bytes) -> Result:
    """Judges the bytes of a site file. Never raises for what they hold."""
    text, problems = decode(raw)
    if problems:
        return _refused(problems)
    document, problems = parse(text)
    if document is None:
        return _refused(problems)
    judge = _Judge(problems)
    site = judge.fields(document, SITE, '')
    if not problems:
        judge.relations(site, document)
    if problems:
        return _refused(problems)
    canonical = canonical_text(site)
    if len(canonical.encode()) > MAX_BYTES:
        return _refused([Problem(0, 0, f'its canonical spelling has more than {MAX_BYTES} bytes', 'list fewer keys')])
    return Result([], site, canonical)


def validate_part(raw: bytes, wanted: Fields, name: str) -> tuple[dict[str, Any] | None, list[Problem]]:
    """The same for the keys of one map of the site file, such as MAIL, that stand alone; None after a problem."""
    # `...` is for files that may be half copied; a part is typed or piped in.
    text, problems = decode(raw)
    if problems:
        return None, problems
    lines = text.rstrip('\n').split('\n')
    document, problems = parse(text if lines[-1] == '...' else '\n'.join([*lines, '...', '']))
    if document is None:
        return None, problems
    judge = _Judge(problems)
    found = judge.fields(document, wanted, name)
    return (None, problems) if problems else (found, [])


def _refused(problems: list[Problem]) -> Result:
    """The first problems in the order of the lines, in text that a terminal shows as it is."""
    shown = sorted(problems, key=lambda one: (one.line, one.column))[:MAX_PROBLEMS]
    return Result([Problem(one.line, one.column, _printable(one.message), _printable(one.hint)) for one in shown])


def _printable(text: str) -> str:
    return ''.join(char if char.isprintable() else '\N{REPLACEMENT CHARACTER}' for char in text)


class _Judge:
    """Holds the problems found so far while it walks the document beside its schema."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems

    def say(self, node: Node, message: str, hint: str = '') -> None:
        """A problem at the place of a node."""
        self.problems.append(Problem(node.line, node.column, message, hint))

    def node(self, node: Node, wanted: Value | Items | Fields, path: str) -> Any:
        """The value of a node, or None after a problem."""
        if isinstance(node, Scalar) and node.broken:
            return [] if isinstance(wanted, Items) else None
        if isinstance(wanted, Fields):
            if isinstance(node, Mapping):
                return self.fields(node, wanted, path)
            self.say(
                node, f'`{path}` is a map: {", ".join(wanted.keys)}', 'write `key: value` lines below it, indented'
            )
            return None
        if isinstance(wanted, Items):
            return self.items(node, wanted, path)
        if not isinstance(node, Scalar):
            self.say(node, f'`{path}` is one value, not a list or map')
            return None
        if node.text == '':
            self.say(node, f'`{path}` has no value', 'write it behind the colon, or remove the line')
            return None
        try:
            return wanted.check(node.text)
        except values.Wrong as wrong:
            self.say(node, f'`{path}`: {wrong.message}', wrong.hint)
            return None

    def items(self, node: Node, wanted: Items, path: str) -> list[Any]:
        """The entries of a list."""
        if not isinstance(node, Sequence):
            self.say(node, f'`{path}` is a list', 'write a line `- …` for each entry, indented below it')
            return []
        if not wanted.least <= len(node.items) <= wanted.most:
            self.say(node, f'`{path}` has {len(node.items)} entries, {wanted.least} to {wanted.most} are taken')
            return []
        found = [self.node(item, wanted.of, path) for item in node.items]
        if isinstance(wanted.of, Value):
            for index, value in enumerate(found):
                if value is not None and _bare(value) in [_bare(one) for one in found[:index]]:
                    self.say(node.items[index], f'`{path}` has the same entry twice', 'keep one of the two')
        return found

    def fields(self, node: Mapping, wanted: Fields, path: str) -> dict[str, Any]:
        """The values of a map, in the schema's order."""
        prefix = f'{path}.' if path else ''
        unknown = [key for key in node.items if key not in wanted.keys]
        for key in unknown[:MAX_PROBLEMS]:
            line, column = node.places[key]
            near = difflib.get_close_matches(key[:64], wanted.keys, 1, 0.6)
            hint = f'did you mean `{near[0]}`?' if near else f'known here: {", ".join(wanted.keys)}'
            self.problems.append(Problem(line, column, f'`{prefix}{key[:64]}` is not known', hint))
        found: dict[str, Any] = {}
        for key, inner in wanted.keys.items():
            if key in node.items:
                found[key] = self.node(node.items[key], inner, prefix + key)
            elif inner.required:
                self.say(node, f'`{prefix}{key}` is missing', 'the example of `init-site` has it')
        return found

    def relations(self, site: dict[str, Any], document: Mapping) -> None:
        """What one field demands of another."""
        admins: list[dict[str, Any]] = site['admins']
        names = [admin['name'] for admin in admins]
        admin_nodes = document.items['admins']
        for index, name in enumerate(names):
            if name in names[:index] and isinstance(admin_nodes, Sequence):
                self.say(admin_nodes.items[index], f'the administrator `{name}` stands here twice')
        self.recovery(site, document)
        self.unlock(site['unlock'], document.items['unlock'])
        network = document.items.get('network')
        if isinstance(network, Mapping) and 'wired' in network.items:
            self.wired(site['network']['wired'], network.items['wired'])
        if isinstance(network, Mapping):
            self.closed_networks(site['network'], network)

    def unlock(self, unlock: dict[str, Any], node: Node) -> None:
        """What a method needs is there, and nothing of another one."""
        method = unlock['method']
        if method == 'tang' and 'tang' not in unlock:
            hint = 'write `tang:` with `url:` and `thumbprint:` below it; tang-show-keys prints it on the server'
            self.say(node, '`unlock.tang` is missing', hint)
        for key, owner in (('tang', 'tang'), ('pin', 'tpm2')):
            if key in unlock and method != owner and isinstance(node, Mapping):
                line, column = node.places[key]
                message = f'`unlock.{key}` is for the method {owner}, not for {method}'
                self.problems.append(Problem(line, column, message, 'remove it'))

    def wired(self, wired: dict[str, Any], node: Node) -> None:
        """A static network is whole, and its gateway can be reached."""
        if wired['method'] == 'dhcp':
            if 'address' in wired or 'gateway' in wired:
                self.say(node, '`network.wired` has an address, but its method is dhcp', 'write `method: static`')
            return
        if 'address' not in wired:
            hint = 'a static network needs an address: 192.0.2.10/24'
            self.say(node, '`network.wired.address` is missing', hint)
        elif 'gateway' in wired:
            own = ipaddress.ip_interface(wired['address'])
            gateway = ipaddress.ip_address(wired['gateway'])
            reached = gateway in own.network or gateway.is_link_local
            if gateway.version != own.version or gateway == own.ip or not reached:
                hint = f"give an address in {own.network} that is not the device's own"
                self.say(node, f'`network.wired.gateway`: {gateway} cannot be reached from {own}', hint)

    def closed_networks(self, network: dict[str, Any], node: Mapping) -> None:
        """SSH has networks that it is closed to, and cameras have one that nobody else has."""
        if 'ssh-link-local' in network and 'management' not in network:
            hint = 'remove it, or name the networks of the administrators in `network.management`'
            self.say(
                node.items['ssh-link-local'],
                '`network.ssh-link-local` says nothing while SSH is open to every network',
                hint,
            )
        if 'cameras' not in network:
            return
        cameras = ipaddress.ip_interface(network['cameras']['address']).network
        others = {'management': network.get('management', [])}
        if 'address' in network.get('wired', {}):
            others['wired'] = [str(ipaddress.ip_interface(network['wired']['address']).network)]
        for name, listed in others.items():
            for other in map(ipaddress.ip_network, listed):
                if other.version == cameras.version and other.overlaps(cameras):
                    hint = 'give the cameras a network of their own: 192.168.20.1/24'
                    message = f'`network.cameras`: {cameras} has addresses of `network.{name}`, {other}'
                    self.say(node.items['cameras'], message, hint)

    def recovery(self, site: dict[str, Any], document: Mapping) -> None:
        """Somebody must be able to open the recovery bundle: two keys, or one that a person answers for."""
        found = recipients(site)
        named = site.get('recovery', {})
        for admin in site['admins']:
            if admin.get('recovery', True) and any(key.startswith('sk-') for key in admin['keys']):
                hint = (
                    'a security key cannot decrypt: write `recovery: false` for that admin, or give an age1 key as well'
                )
                self.say(
                    document.items['admins'],
                    f'the recovery bundle cannot be encrypted to a key of `{admin["name"]}`',
                    hint,
                )
        if not found:
            hint = "add `recovery:` with `recipients:`, or leave an admin's key usable for it"
            self.say(document, 'nobody could open the recovery bundle', hint)
        elif len(found) == 1 and 'single-recipient-accepted' not in named:
            hint = 'add a second key (age-keygen makes one), or write `recovery: single-recipient-accepted: YOUR NAME`'
            self.say(document, 'a single key can open the recovery bundle', hint)


def _bare(value: Any) -> Any:
    """A key without its comment, which tells no two keys apart."""
    return ' '.join(value.split(' ')[:2]) if isinstance(value, str) else value


def recipients(site: dict[str, Any]) -> list[str]:
    """Keys that the recovery bundle is encrypted to, without comments and repeats: admins' own and named ones."""
    own = [
        key
        for admin in site['admins']
        if admin.get('recovery', True)
        for key in admin['keys']
        if not key.startswith('sk-')
    ]
    every = [*own, *site.get('recovery', {}).get('recipients', [])]
    return list(dict.fromkeys(_bare(key) for key in every))


def canonical_text(site: dict[str, Any]) -> str:
    """The same facts in one spelling: the schema's order, every text quoted, `...` at the end. Parses to itself."""
    lines: list[str] = ['# amslpr site file, format 1, as the validator spells it']
    _write(site, SITE, 0, lines)
    return '\n'.join([*lines, '...', ''])


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return 'true' if value else 'false'
    return '"' + str(value).replace('\\', '\\\\').replace('"', '\\"').replace('\n', '\\n') + '"'


def _write(value: dict[str, Any], wanted: Fields, indent: int, lines: list[str]) -> None:
    pad = ' ' * indent
    for key, inner in wanted.keys.items():
        if key not in value:
            continue
        found = value[key]
        if isinstance(inner, Value):
            lines.append(f'{pad}{key}: {_scalar(found)}')
        elif isinstance(inner, Fields):
            if found:
                lines.append(f'{pad}{key}:')
                _write(found, inner, indent + 2, lines)
        elif found:
            lines.append(f'{pad}{key}:')
            for item in found:
                if isinstance(inner.of, Fields):
                    block: list[str] = []
                    _write(item, inner.of, indent + 4, block)
                    block[0] = f'{pad}  - {block[0].lstrip(" ")}'
                    lines.extend(block)
                else:
                    lines.append(f'{pad}  - {_scalar(item)}')


def _read(name: str) -> bytes:
    """At most one byte more than may be, so that a huge file costs nothing. `-` is standard input."""
    if name == '-':
        return sys.stdin.buffer.read(MAX_BYTES + 1)
    with Path(name).open('rb') as file:
        return file.read(MAX_BYTES + 1)


def main(arguments: list[str]) -> int:
    """Command line; see the top of this file."""
    names = [one for one in arguments if not one.startswith('--')]
    flags = [one for one in arguments if one.startswith('--')]
    if len(names) != 1 or any(one not in ('--json', '--canonical') for one in flags):
        print('usage: python3 -m amslpr_device.site_file FILE [--json | --canonical]', file=sys.stderr)
        return 2
    try:
        raw = _read(names[0])
    except OSError as error:
        print(f'{names[0]}: {error.strerror}', file=sys.stderr)
        return 2
    result = validate(raw)
    if '--json' in flags:
        answer = {
            'ok': result.ok,
            'site': result.site,
            'canonical': result.canonical,
            'digest': result.digest,
            'problems': [asdict(one) for one in result.problems],
        }
        print(json.dumps(answer))
    elif result.ok:
        print(
            result.canonical if '--canonical' in flags else f'{names[0]}: good',
            end='' if '--canonical' in flags else '\n',
        )
    else:
        for one in result.problems:
            hint = f' ({one.hint})' if one.hint else ''
            place = ''.join(f':{number}' for number in (one.line, one.column) if number) or ': the whole file'
            print(f'{names[0]}{place}: {one.message}{hint}', file=sys.stderr)
    return 0 if result.ok else 1


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
