"""What run-books have people type for the firewall are the rules that the site file makes."""

from __future__ import annotations

import ipaddress
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from amslpr_device.steps import firewall

ROOT = Path(__file__).resolve().parents[2]
CAMERAS = {'cameras': {'vlan': '20', 'address': '192.168.20.1/24'}}
MANAGEMENT = {'management': ['192.0.2.0/24']}


def typed(page: str, version: int) -> list[str]:
    """ufw's notes of a page's rules for an IP version, in their order; one for each port."""
    found: list[str] = []
    for line in re.findall(
        r'^    sudo ufw ((?:prepend|limit) .*)', (ROOT / f'docs/runbooks/{page}.md').read_text(), re.M
    ):
        words = shlex.split(line)
        first = words[0] == 'prepend'
        action, *words = words[1:] if first else words
        way = 'in'
        if words[0] in ('in', 'out'):
            way, words = f'{words[0]}_{words[2]}', words[3:]
        said = dict(zip(words[::2], words[1::2], strict=True))
        # A port belongs to the address before it.
        to_port = said.get('port', 'any') if 'to' in said else 'any'
        from_port = said.get('port', 'any') if 'to' not in said else 'any'
        every = '0.0.0.0/0' if version == 4 else '::/0'
        ends = [said.get(end, 'any') for end in ('to', 'from')]
        if any(ipaddress.ip_network(end).version != version for end in ends if end != 'any'):
            continue
        to, source = [every if end == 'any' else end.removesuffix('/32') for end in ends]
        comment = said['comment'].encode().hex()
        new = [
            f'{action} {said.get("proto", "any")} {port} {to} {from_port} {source} {way} comment={comment}'
            for port in to_port.split(',')
        ]
        found = new + found if first else found + new
    return found


@pytest.mark.parametrize('version', [4, 6])
@pytest.mark.parametrize(
    ('page', 'network', 'comment'), [('cameras', CAMERAS, 'cameras'), ('network', MANAGEMENT, 'SSH')]
)
def test_rules_are_those_of_the_site_file(page: str, network: dict[str, Any], comment: str, version: int) -> None:
    name = 'low.user.rules' if version == 4 else 'low.user6.rules'
    rules = firewall.fitted((ROOT / f'test/fixtures/ufw/{name}').read_text(), version, network)
    wanted = re.findall(rf'^### tuple ### (.* comment={comment.encode().hex()})$', rules, re.M)
    assert wanted
    # Whether pictures or a search is allowed first is the same.
    accepted, refused = ([one for one in wanted if one.startswith('deny') is way] for way in (False, True))
    now = typed(page, version)
    assert sorted(now[: len(accepted)]) == sorted(accepted)
    assert sorted(now[len(accepted) :]) == sorted(refused)
