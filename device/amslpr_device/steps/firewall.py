"""Fits ufw's rules and fail2ban's jails to the site: who reaches SSH, and what passes to and from the cameras.

Checked by comparing whole files. A cut leaves old or new files, whole. The rules that the image came with are kept, so
that a device that is provisioned again starts from them. ufw and fail2ban start after this program.
"""

from __future__ import annotations

import ipaddress
import re
from itertools import takewhile
from typing import Any

from amslpr_device.context import Context
from amslpr_device.files import holds, write
from amslpr_device.steps.network import CAMERAS

# The image's rules, kept before the site changes them: name of the copy in `state`, and place.
RULES = {'user.rules': '/etc/ufw/user.rules', 'user6.rules': '/etc/ufw/user6.rules'}
JAILS = '/etc/fail2ban/jail.d/site.local'
# Names of wired ports start with this letter, wireless ones with another.
WIRED = 'e+'
LINK_LOCAL = 'fe80::/10'
# RTSP, and where makers have ONVIF.
CAMERA_PORTS = [80, 443, 554, 8000]
# Where cameras answer a search (WS-Discovery) from: no connection that the kernel could know the answer by.
DISCOVERY = 3702


def wanted(ctx: Context) -> dict[str, tuple[str, int]]:
    """Every file with its text and mode."""
    network: dict[str, Any] = ctx.site.get('network', {})
    files: dict[str, tuple[str, int]] = {}
    if 'management' in network or 'cameras' in network:
        for version, path in ((4, RULES['user.rules']), (6, RULES['user6.rules'])):
            place = ctx.at(path)
            if place.is_file():
                files[path] = (fitted(place.read_text(), version, network), 0o640)
    # An image may be built without fail2ban.
    if 'management' in network and ctx.at(JAILS).parent.is_dir():
        files[JAILS] = (jails(network['management']), 0o644)
    return files


def jails(networks: list[str]) -> str:
    """fail2ban's: jails of their own, with short bans, count what comes from these networks and from the same cable."""
    every = ' '.join([*networks, LINK_LOCAL])
    own = ''.join(f'\n[{name}-management]\nenabled = true\n' for name in ('sshd', 'amslpr-login'))
    return f'# From the site file.\n[DEFAULT]\namslpr_management = {every}\n{own}'


def fitted(rules: str, version: int, network: dict[str, Any]) -> str:
    """ufw's rules for the site. The text for a site is always the same, whatever site the rules were for before."""
    if 'management' in network:
        rules = only_from(rules, version, network['management'], network.get('ssh-link-local', True))
    return with_cameras(rules, version, network.get('cameras'))


def blocks(rules: str, comment: str) -> tuple[list[str], list[list[str]], int]:
    """All lines but the rules with this comment (ufw keeps it in hex), these rules, and where the first one was."""
    kept: list[str] = []
    found: list[list[str]] = []
    place = 0
    lines = iter(rules.splitlines())
    for line in lines:
        if line.startswith('### tuple ###') and line.endswith(f'comment={comment.encode().hex()}'):
            if not found:
                place = len(kept)
            found.append([line, *takewhile(lambda one: one != '', lines)])
        else:
            kept.append(line)
    return kept, found, place


def only_from(rules: str, version: int, networks: list[str], link_local: bool) -> str:
    """The rule for SSH, once for each management network of this IP version, and for neighbours on the wired port.

    A neighbour's link-local address works whatever the device's own network settings are: it is the way in when the
    site file has a wrong address.
    """
    kept, found, place = blocks(rules, 'SSH')
    if not found:
        return rules
    sources = [(one, '') for one in networks if ipaddress.ip_network(one).version == version]
    if version == 6 and link_local:
        sources.append((LINK_LOCAL, WIRED))
    new: list[str] = []
    for source, port in sources:
        tuple_, *lines = found[0]
        tuple_ = re.sub(r'^(### tuple ###(?: \S+){5}) \S+', rf'\1 {source}', tuple_)
        new.append(re.sub(r' in(_\S+)?(?= comment=)', f' in_{port}' if port else ' in', tuple_))
        for line in lines:
            plain = re.sub(r'^(-A \S+)( -i \S+)?', rf'\1 -i {port}' if port else r'\1', line)
            new.append(re.sub(r'(--dport \S+)( -s \S+)?', rf'\1 -s {source}', plain))
        new.append('')
    return '\n'.join([*kept[:place], *new, *kept[place:], ''])


def with_cameras(rules: str, version: int, cameras: dict[str, Any] | None) -> str:
    """Rules for the cameras' network before all others: it reaches nothing here, and is asked for pictures alone."""
    kept, _, _ = blocks(rules, CAMERAS)
    start = '### RULES ###'
    if cameras is None or start not in kept:
        return '\n'.join([*kept, ''])
    own = ipaddress.ip_interface(cameras['address'])
    chain = 'ufw' if version == 4 else 'ufw6'
    every = '0.0.0.0/0' if version == 4 else '::/0'
    comment = f'comment={CAMERAS.encode().hex()}'
    new: list[str] = []

    def rule(action: str, protocol: str, to: str, source: str, way: str, match: str) -> None:
        target = 'ACCEPT' if action == 'allow' else 'DROP'
        option = '-i' if way == 'in' else '-o'
        new.append(f'### tuple ### {action} {protocol} {to} {source} {way}_{CAMERAS} {comment}')
        new.append(f'-A {chain}-user-{way}put {option} {CAMERAS}{match} -j {target}')
        new.append('')

    if own.version == version:
        net = str(own.network)
        match = f' -p udp -s {net} --sport {DISCOVERY}'
        rule('allow', 'udp', f'any {every}', f'{DISCOVERY} {net}', 'in', match)
        for port in cameras.get('ports', CAMERA_PORTS):
            rule('allow', 'tcp', f'{port} {net}', f'any {every}', 'out', f' -p tcp -d {net} --dport {port}')
        if version == 4:
            group = '239.255.255.250'
            match = f' -p udp -d {group} --dport {DISCOVERY}'
            rule('allow', 'udp', f'{DISCOVERY} {group}', f'any {every}', 'out', match)
    rule('deny', 'any', f'any {every}', f'any {every}', 'in', '')
    rule('deny', 'any', f'any {every}', f'any {every}', 'out', '')
    place = kept.index(start) + 2
    return '\n'.join([*kept[:place], *new, *kept[place:], ''])


def product_ok(ctx: Context) -> bool:
    """Whether every file says what the site says."""
    return all(holds(ctx.at(path), text, mode) for path, (text, mode) in wanted(ctx).items())


def make(ctx: Context) -> None:
    """Keeps the image's rules, and writes the site's."""
    for name, path in RULES.items():
        if ctx.at(path).is_file() and not (ctx.state / name).exists():
            write(ctx.state / name, ctx.at(path).read_bytes(), 0o600)
    for path, (text, mode) in wanted(ctx).items():
        write(ctx.at(path), text, mode)
