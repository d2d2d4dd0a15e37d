"""Makes the connections of NetworkManager (0600), the Wi-Fi country, and who may reach SSH, from the site.

Checked by comparing whole files. A cut leaves old or new files, whole. Texts of a person are written in spellings that
cannot end a line or a key: the Wi-Fi name as bytes, the passphrase with its escapes.
"""

from __future__ import annotations

import ipaddress
import re
import uuid
from itertools import takewhile
from typing import Any

from amslpr_device.context import Context
from amslpr_device.files import holds, make_folder, write

CONNECTIONS = '/etc/NetworkManager/system-connections'
COUNTRY = '/etc/modprobe.d/amslpr-wifi-country.conf'
# The image's rules, kept before the site changes them: name of the copy in `state`, and place.
RULES = {'user.rules': '/etc/ufw/user.rules', 'user6.rules': '/etc/ufw/user6.rules'}
SPACE = uuid.UUID('6f1bde0e-50c5-4a5c-9d0d-0b1f2b3a9a10')


def section(name: str, pairs: dict[str, str]) -> str:
    """A section of a keyfile."""
    return '\n'.join([f'[{name}]', *(f'{key}={value}' for key, value in pairs.items()), '', ''])


def connection(name: str, kind: str, priority: int) -> str:
    """What every connection starts with; its id is the same on each run."""
    pairs = {'id': name, 'uuid': str(uuid.uuid5(SPACE, name)), 'type': kind, 'autoconnect-priority': str(priority)}
    return section('connection', pairs)


def addresses(wired: dict[str, Any]) -> str:
    """The sections for IPv4 and IPv6."""
    found = {4: {'method': 'auto'}, 6: {'method': 'auto'}}
    if wired.get('method') == 'static':
        own = ipaddress.ip_interface(wired['address'])
        found = {4: {'method': 'disabled'}, 6: {'method': 'auto'}}
        gateway = wired.get('gateway')
        same = gateway is not None and ipaddress.ip_address(gateway).version == own.version
        found[own.version] = {'method': 'manual', 'address1': f'{own},{gateway}' if same else str(own)}
    for version in (4, 6):
        servers = [one for one in wired.get('dns', []) if ipaddress.ip_address(one).version == version]
        if servers and found[version]['method'] != 'disabled':
            found[version]['dns'] = ';'.join(servers) + ';'
            found[version]['ignore-auto-dns'] = 'true'
    return section('ipv4', found[4]) + section('ipv6', found[6])


def escaped(text: str) -> str:
    """A keyfile value: a backslash would start an escape, and outer spaces would be lost."""
    return text.replace('\\', '\\\\').replace(' ', '\\s')


def wanted(ctx: Context) -> dict[str, tuple[str, int]]:
    """Every file with its text and mode."""
    network: dict[str, Any] = ctx.site.get('network', {})
    files = {
        f'{CONNECTIONS}/amslpr-wired.nmconnection': (
            connection('amslpr-wired', 'ethernet', 10) + addresses(network.get('wired', {})),
            0o600,
        )
    }
    wifi = network.get('wifi')
    if wifi:
        name = ''.join(f'{byte};' for byte in wifi['ssid'].encode())
        files[f'{CONNECTIONS}/amslpr-wifi.nmconnection'] = (
            connection('amslpr-wifi', 'wifi', 0)
            + section('wifi', {'mode': 'infrastructure', 'ssid': name})
            + section('wifi-security', {'key-mgmt': 'wpa-psk', 'psk': escaped(wifi['psk'])})
            + addresses({}),
            0o600,
        )
        country = f'options cfg80211 ieee80211_regdom={wifi["country"]}\n'
        files[COUNTRY] = (country, 0o644)
    if 'management' in network:
        for version, path in ((4, RULES['user.rules']), (6, RULES['user6.rules'])):
            rules = ctx.at(path)
            if rules.is_file():
                files[path] = (only_from(rules.read_text(), version, network['management']), 0o640)
    return files


def only_from(rules: str, version: int, networks: list[str]) -> str:
    """ufw's rules, with the one for SSH replaced by one for each management network of this IP version.

    The rule is found by its comment `SSH` (ufw keeps comments in hex); rules of networks that were put there before
    are replaced too, so that the text for a site is always the same.
    """
    kept: list[str] = []
    template: list[str] = []
    place = 0
    lines = iter(rules.splitlines())
    for line in lines:
        if not is_ssh(line):
            kept.append(line)
            continue
        block = [line, *takewhile(lambda one: one != '', lines)]
        if not template:
            template, place = block, len(kept)
    if not template:
        return rules
    new: list[str] = []
    for network in networks:
        if ipaddress.ip_network(network).version == version:
            new.append(re.sub(r'^(### tuple ###(?: \S+){5}) \S+', rf'\1 {network}', template[0]))
            new += [re.sub(r'(--dport \S+)( -s \S+)?', rf'\1 -s {network}', line) for line in template[1:]]
            new.append('')
    return '\n'.join([*kept[:place], *new, *kept[place:], ''])


def is_ssh(line: str) -> bool:
    """Whether a line starts the rule for SSH."""
    return line.startswith('### tuple ###') and line.endswith(f'comment={b"SSH".hex()}')


def product_ok(ctx: Context) -> bool:
    """Whether every file says what the site says."""
    return all(holds(ctx.at(path), text, mode) for path, (text, mode) in wanted(ctx).items())


def make(ctx: Context) -> None:
    """Writes them; the services that read them, ufw too, start after this program."""
    make_folder(ctx.at(CONNECTIONS), 0o700)
    make_folder(ctx.at('/etc/modprobe.d'))
    for name, path in RULES.items():
        if ctx.at(path).is_file() and not (ctx.state / name).exists():
            write(ctx.state / name, ctx.at(path).read_bytes(), 0o600)
    for path, (text, mode) in wanted(ctx).items():
        write(ctx.at(path), text, mode)
    if ctx.real and 'wifi' in ctx.site.get('network', {}):
        # The module may be loaded already; from the next boot on it reads its own option.
        ctx.succeeds(['iw', 'reg', 'set', ctx.site['network']['wifi']['country']])
