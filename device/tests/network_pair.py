"""Three network namespaces joined by cables: a device, the one who calls it, and a stranger.

Made as an ordinary user makes them; nothing of the host's network is touched.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DEVICE = Path(__file__).resolve().parents[1]
SERVER = """
import selectors, socket, sys
chosen = selectors.DefaultSelector()
for port in sys.argv[1:]:
    listener = socket.create_server(('::', int(port)), family=socket.AF_INET6, dualstack_ipv6=True)
    chosen.register(listener, selectors.EVENT_READ, 'new')
print('listens', flush=True)
while True:
    for key, _ in chosen.select():
        if key.data == 'new':
            chosen.register(key.fileobj.accept()[0], selectors.EVENT_READ, 'data')
            continue
        try:
            data = key.fileobj.recv(100)
            key.fileobj.sendall(data)
        except OSError:
            data = b''
        if not data:
            chosen.unregister(key.fileobj)
            key.fileobj.close()
"""
PROBE = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor
def reached(target):
    try:
        with socket.create_connection(tuple(target), timeout=0.7) as found:
            found.sendall(b'x')
            return found.recv(1) == b'x'
    except OSError:
        return False
targets = json.loads(sys.argv[1])
with ThreadPoolExecutor(16) as pool:
    print(json.dumps(list(pool.map(reached, targets))))
"""


class Party:
    """One network namespace."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.children: list[subprocess.Popen[str]] = []

    def inside(self, *command: str) -> list[str]:
        """The command, to be run in there."""
        enter = ['nsenter', '-t', str(self.process.pid), '-U', '-n', '--preserve-credentials']
        return [*enter, *command]

    def run(self, *command: str) -> str:
        """Runs a command and returns what it said; raises when it failed."""
        done = subprocess.run(self.inside(*command), capture_output=True, text=True, check=False)
        assert done.returncode == 0, f'{command}: {done.stdout}{done.stderr}'
        return done.stdout

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Starts a program that says one line when it is ready."""
        process = subprocess.Popen(
            self.inside(*command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self.children.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() != ''
        return process

    def serve(self, *ports: int) -> None:
        """Echoes, over IPv4 and IPv6."""
        self.start(sys.executable, '-c', SERVER, *map(str, ports))

    def reaches(self, *targets: tuple[str, int]) -> list[bool]:
        """Whether each address and port answers within 0.7 seconds."""
        return json.loads(self.run(sys.executable, '-c', PROBE, json.dumps(targets)))


def holder(*command: str) -> subprocess.Popen[str]:
    """A process that keeps a namespace; it says when it is there."""
    process = subprocess.Popen([*command, 'sh', '-c', 'echo there; exec sleep 600'], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == 'there\n'
    return process


@contextmanager
def parties() -> Iterator[tuple[Party, Party, Party]]:
    """The device (192.0.2.1, 2001:db8:a::1; 198.51.100.1, 2001:db8:b::1), caller and stranger (….2)."""
    made: list[Party] = []
    try:
        device = Party(holder('unshare', '-r', '-n'))
        made.append(device)
        device.run('ip', 'link', 'set', 'lo', 'up')
        nets = (('a', '192.0.2', '2001:db8:a:'), ('b', '198.51.100', '2001:db8:b:'))
        for name, four, six in nets:
            other = Party(holder(*device.inside('unshare', '-n')))
            made.append(other)
            device.run('ip', 'link', 'add', f'to-{name}', 'type', 'veth', 'peer', 'name', 'eth0')
            device.run('ip', 'link', 'set', 'eth0', 'netns', str(other.process.pid))
            for party, link, end in ((device, f'to-{name}', 1), (other, 'eth0', 2)):
                party.run('ip', 'link', 'set', link, 'up')
                party.run('ip', 'address', 'add', f'{four}.{end}/24', 'dev', link)
                party.run('ip', 'address', 'add', f'{six}:{end}/64', 'dev', link, 'nodad')
            other.run('ip', 'link', 'set', 'lo', 'up')
            other.run('ip', 'route', 'add', 'default', 'via', f'{four}.1')
            other.run('ip', 'route', 'add', 'default', 'via', f'{six}:1')
        device.run('sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward')
        device.run('sh', '-c', 'echo 1 > /proc/sys/net/ipv6/conf/all/forwarding')
        yield made[0], made[1], made[2]
    finally:
        for party in reversed(made):
            for process in [*party.children, party.process]:
                process.kill()
                process.wait()
