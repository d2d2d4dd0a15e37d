"""The site's firewall rules in real network namespaces: what passes between a device and its cameras."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from network_pair import Party, parties

from amslpr_device.steps import firewall

# Real cryptsetup, age, databases, networks: with all others in ci/test, not before each commit.
pytestmark = pytest.mark.slow

DEVICE_4, CAMERA_4, OFFICE_4 = '192.0.2.1', '192.0.2.2', '198.51.100.2'
SITE = {'management': ['198.51.100.0/24'], 'cameras': {'vlan': '20', 'address': f'{DEVICE_4}/24', 'ports': ['554']}}
# What ufw puts around its user rules, in short.
AROUND = """-P INPUT DROP
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -j {0}-user-input
-A OUTPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A OUTPUT -j {0}-user-output
"""
LISTEN = """
import socket
found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
found.bind(('0.0.0.0', 40000))
found.settimeout(5)
print('listens', flush=True)
try:
    data, where = found.recvfrom(100)
    print(data.decode(), where[1], flush=True)
except TimeoutError:
    print('nothing came', flush=True)
"""
SEND = f"""
import socket
for source in (3703, 3702):
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.bind(('0.0.0.0', source))
    sender.sendto(b'hello', ('{DEVICE_4}', 40000))
"""


@pytest.fixture
def site() -> Iterator[tuple[Party, Party, Party]]:
    """The device with the site's rules, its cameras and an office; everything listens."""
    rules = Path(__file__).parents[2] / 'test/fixtures/ufw'
    with parties() as (device, camera, office):
        device.run('ip', 'link', 'set', 'to-a', 'down')
        device.run('ip', 'link', 'set', 'to-a', 'name', 'cameras')
        device.run('ip', 'link', 'set', 'cameras', 'up')
        for version, name, program in ((4, 'user.rules', 'iptables'), (6, 'user6.rules', 'ip6tables')):
            text = firewall.fitted((rules / f'low.{name}').read_text(), version, SITE)
            around = AROUND.format('ufw' if version == 4 else 'ufw6')
            # The kernel's log belongs to the host.
            lines = [line for line in text.splitlines() if not re.search(r'^#|-j LOG|-logging-', line)]
            lines = [line for line in lines if line != 'COMMIT']
            device.run('sh', '-c', f"{program}-restore <<'END'\n{chr(10).join(lines)}\nCOMMIT\nEND")
            for line in around.splitlines():
                device.run(program, *line.split())
        device.serve(22, 80, 443)
        camera.serve(22, 554)
        office.serve(554)
        yield device, camera, office


def test_cameras_reach_nothing(site: tuple[Party, Party, Party]) -> None:
    _, camera, office = site
    assert camera.reaches((DEVICE_4, 22), (DEVICE_4, 80), (DEVICE_4, 443)) == [False, False, False]
    assert office.reaches(('198.51.100.1', 22), ('198.51.100.1', 443)) == [True, True]


def test_the_device_asks_cameras_for_pictures_alone(site: tuple[Party, Party, Party]) -> None:
    device, _, _ = site
    assert device.reaches((CAMERA_4, 554), (CAMERA_4, 22), ('2001:db8:a::2', 554)) == [True, False, False]
    assert device.reaches((OFFICE_4, 554)) == [True]


def test_answers_to_a_search_come_in_and_nothing_like_them(site: tuple[Party, Party, Party]) -> None:
    device, camera, _ = site
    listener = device.start(sys.executable, '-c', LISTEN)
    camera.run(sys.executable, '-c', SEND)
    assert listener.stdout is not None
    assert listener.stdout.readline() == 'hello 3702\n'
