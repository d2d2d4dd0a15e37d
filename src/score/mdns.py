"""Asks everybody on the cable for NAME.local by mDNS, and prints the addresses of those who answer in time.

Arguments: name, interface, 4 or 6, seconds to wait.
"""

import select
import socket
import struct
import sys
import time

PORT = 5353


def query(name: str) -> bytes:
    """A question for every record of the name."""
    labels = b''.join(bytes([len(label)]) + label.encode() for label in (name, 'local'))
    return struct.pack('>6H', 0, 0, 1, 0, 0, 0) + labels + b'\0' + struct.pack('>2H', 255, 1)


def opened(version: int, index: int) -> tuple[socket.socket, tuple[str, int]]:
    """A socket in the group of that version on one interface, and where questions go."""
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    one = socket.socket(family, socket.SOCK_DGRAM)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Another program of this guest may answer by mDNS as well.
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if version == 4:
        group = '224.0.0.251'
        link = socket.inet_aton(group) + struct.pack('=4si', b'\0' * 4, index)
        one.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, link)
        one.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, link)
        one.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
    else:
        group = 'ff02::fb'
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        link = socket.inet_pton(socket.AF_INET6, group) + struct.pack('=I', index)
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, link)
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
    one.bind(('', PORT))
    return one, (group, PORT)


def answers(packet: bytes, name: str) -> bool:
    """Whether it is an answer that speaks of the name."""
    return len(packet) > 12 and packet[2] & 0x80 != 0 and bytes([len(name)]) + name.encode() in packet


def main() -> None:
    """Asks three times."""
    name, interface, version, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    one, group = opened(version, socket.if_nametoindex(interface))
    found: set[str] = set()
    for _ in range(3):
        one.sendto(query(name), group)
        end = time.monotonic() + seconds / 3
        while (left := end - time.monotonic()) > 0:
            if not select.select([one], [], [], left)[0]:
                break
            packet, sender = one.recvfrom(9000)
            if answers(packet, name):
                found.add(sender[0].split('%')[0])
    print('\n'.join(sorted(found)))


if __name__ == '__main__':
    main()
