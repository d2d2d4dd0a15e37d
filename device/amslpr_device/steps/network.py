"""Makes the connections of NetworkManager (0600) and the Wi-Fi country from the site.

Checked by comparing whole files. A cut leaves old or new files, whole. Texts of a person are written in spellings that
cannot end a line or a key: the Wi-Fi name as bytes, the passphrase with its escapes.
"""

from __future__ import annotations

import ipaddress
import uuid
from typing import Any

from amslpr_device.context import Context
from amslpr_device.files import holds, make_folder, write

CONNECTIONS = '/etc/NetworkManager/system-connections'
COUNTRY = '/etc/modprobe.d/amslpr-wifi-country.conf'
# The name of the interface on the cameras' VLAN, for the firewall's rules.
CAMERAS = 'cameras'
SPACE = uuid.UUID('6f1bde0e-50c5-4a5c-9d0d-0b1f2b3a9a10')


def section(name: str, pairs: dict[str, str]) -> str:
    """A section of a keyfile."""
    return '\n'.join([f'[{name}]', *(f'{key}={value}' for key, value in pairs.items()), '', ''])


def connection(name: str, kind: str, priority: int, more: dict[str, str] | None = None) -> str:
    """What every connection starts with; its id is the same on each run."""
    pairs = {'id': name, 'uuid': str(uuid.uuid5(SPACE, name)), 'type': kind, 'autoconnect-priority': str(priority)}
    return section('connection', pairs | (more or {}))


def wired(found: dict[str, Any]) -> str:
    """Every wired port asks for an address, so that any of two will do; an address of its own belongs to one port."""
    every = {} if found.get('method') == 'static' else {'multi-connect': '3'}
    return connection('amslpr-wired', 'ethernet', 10, every) + addresses(found)


def camera_addresses(address: str) -> str:
    """The device's own address among the cameras, and no way from there to anywhere."""
    own = ipaddress.ip_interface(address)
    found = {version: {'method': 'disabled'} for version in (4, 6)}
    found[own.version] = {'method': 'manual', 'address1': str(own), 'never-default': 'true'}
    return section('ipv4', found[4]) + section('ipv6', found[6])


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
            wired(network.get('wired', {})),
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
    cameras = network.get('cameras')
    if cameras:
        parent = uuid.uuid5(SPACE, 'amslpr-wired')
        files[f'{CONNECTIONS}/amslpr-cameras.nmconnection'] = (
            connection('amslpr-cameras', 'vlan', 0, {'interface-name': CAMERAS})
            + section('vlan', {'flags': '1', 'id': cameras['vlan'], 'parent': str(parent)})
            + camera_addresses(cameras['address']),
            0o600,
        )
    return files


def product_ok(ctx: Context) -> bool:
    """Whether every file says what the site says."""
    return all(holds(ctx.at(path), text, mode) for path, (text, mode) in wanted(ctx).items())


def make(ctx: Context) -> None:
    """Writes them; the services that read them, ufw too, start after this program."""
    make_folder(ctx.at(CONNECTIONS), 0o700)
    make_folder(ctx.at('/etc/modprobe.d'))
    for path, (text, mode) in wanted(ctx).items():
        write(ctx.at(path), text, mode)
    if ctx.real and 'wifi' in ctx.site.get('network', {}):
        # The module may be loaded already; from the next boot on it reads its own option.
        ctx.succeeds(['iw', 'reg', 'set', ctx.site['network']['wifi']['country']])
