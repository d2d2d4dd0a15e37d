"""amslpr-device isolate: cuts the device off from everybody but the caller, in both directions, IPv4 and IPv6 alike.

isolate [--minutes N | --permanent] [--keep ADDRESS]...   cut off, for 240 minutes unless said otherwise
isolate status                                            whether it is, for how long, who is kept
isolate end                                               connect again
isolate try                                               whether the kernel would take the rules
isolate again                                             what the unit runs at a start

The rules are a table of their own in front of ufw's: they only drop, so nobody gets in whom ufw keeps out, and what
`ufw` does meanwhile opens nothing. Kept are SSH from the caller and from each ADDRESS, and what an address needs to
stay one (ARP, neighbour discovery, DHCP). The kernel itself ends the isolation: the rules ask a set whose elements
run out. A restart does not end it: a record on root has it made again before the network comes up.
"""

from __future__ import annotations

import argparse
import ipaddress
import json
import os
import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from typing import Any

from amslpr_device.context import Context, StepError
from amslpr_device.files import sync_folder, write_record
from amslpr_device.incident import caller

TABLE = 'amslpr_isolate'
RECORD = 'isolate.json'
MINUTES = 240
WEEK = 7 * 24 * 60
SSHD = '/etc/ssh/sshd_config'

RULES = """table inet {table}
delete table inet {table}
table inet {table} {{
	set active {{ type ether_type; flags timeout; }}
	chain input {{
		type filter hook input priority -10; policy accept;
		meta protocol != @active return
		iifname "lo" accept
{sources}
		ct state related meta l4proto {{ icmp, ipv6-icmp }} accept
		ip6 hoplimit 255 icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert }} accept
		udp sport 67 udp dport 68 accept
		udp sport 547 udp dport 546 accept
		drop
	}}
	chain forward {{
		type filter hook forward priority -10; policy accept;
		meta protocol != @active return
		drop
	}}
	chain output {{
		type filter hook output priority -10; policy accept;
		meta protocol != @active return
		oifname "lo" accept
{destinations}
		ip6 hoplimit 255 icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit }} accept
		icmpv6 type {{ mld-listener-report, mld2-listener-report }} accept
		udp sport 68 udp dport 67 accept
		udp sport 546 udp dport 547 accept
		drop
	}}
}}
add element inet {table} active {{ ip{timeout}, ip6{timeout} }}
"""


def kept(text: str) -> str:
    """An address in its canonical form, `fe80::1%eth0` with its interface; raises StepError for anything else."""
    address, _, zone = text.partition('%')
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        raise StepError(f'{text} is no IP address', 'give one like 192.0.2.7 or 2001:db8::7') from None
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    if found.is_loopback or found.is_multicast or found.is_unspecified:
        raise StepError(f'{text} is nobody who could reach this device', 'give the address you log in from')
    needs_zone = isinstance(found, ipaddress.IPv6Address) and found.is_link_local
    if needs_zone and (not zone or not zone.replace('-', '').replace('.', '').isalnum() or len(zone) > 15):
        raise StepError(f'{text} needs its interface', 'write it like fe80::1%eth0')
    return f'{found}%{zone}' if needs_zone else str(found)


def rules(keep: list[str], ports: list[int], seconds: int | None) -> str:
    """The text for `nft -f`: keeps canonical addresses, for so many seconds or, with None, until somebody ends it."""
    listed = ', '.join(str(port) for port in sorted(ports))
    sources, destinations = [], []
    for one in keep:
        address, _, zone = one.partition('%')
        family = 'ip6' if ':' in address else 'ip'
        on, by = (f'iifname "{zone}" ', f'oifname "{zone}" ') if zone else ('', '')
        sources.append(f'\t\t{on}{family} saddr {address} tcp dport {{ {listed} }} accept')
        destinations.append(f'\t\t{by}{family} daddr {address} tcp sport {{ {listed} }} accept')
    return RULES.format(
        table=TABLE,
        sources='\n'.join(sources),
        destinations='\n'.join(destinations),
        timeout='' if seconds is None else f' timeout {seconds}s',
    )


def ssh_port(ctx: Context) -> int:
    """The port that sshd is set to; 22 when nothing says so."""
    try:
        found = re.search(r'^Port (\d+)$', ctx.at(SSHD).read_text(), re.M)
    except OSError:
        return 22
    return int(found[1]) if found else 22


def start(ctx: Context, keep: list[str], ports: list[int], minutes: int | None) -> None:
    """Cuts off, then notes it for the next start: a card that cannot be written to must not keep the network open."""
    seconds = None if minutes is None else minutes * 60
    ctx.run(['nft', '-f', '-'], give=rules(keep, ports, seconds).encode())
    record = {'keep': keep, 'ports': ports, 'seconds': seconds, 'until': seconds and int(time.time()) + seconds}
    try:
        write_record(ctx.state / RECORD, record)
    except OSError as error:
        raise StepError(
            f'isolated, but a restart would end it: the record could not be written ({error.strerror})'
        ) from error


def again(ctx: Context) -> str:
    """After a restart: for the time that is left. A clock that is behind makes it no longer than it was to be."""
    record = ctx.remember(RECORD)
    if not record:
        return 'not isolated'
    seconds: int | None = record['seconds']
    if seconds is not None:
        seconds = min(seconds, int(record['until'] - time.time()))
        if seconds <= 0:
            forget(ctx)
            return 'the isolation ended while the device was off'
    ctx.run(['nft', '-f', '-'], give=rules(record['keep'], record['ports'], seconds).encode())
    return 'isolated again' + ('' if seconds is None else f' for {left(seconds)}')


def end(ctx: Context) -> None:
    """Takes the rules and the record away."""
    ctx.run(['nft', '-f', '-'], give=f'table inet {TABLE}\ndelete table inet {TABLE}\n'.encode())
    forget(ctx)


def forget(ctx: Context) -> None:
    """The record goes, for good."""
    path = ctx.state / RECORD
    if path.exists():
        path.unlink()
        sync_folder(ctx.state)


def remaining(ctx: Context) -> int | None:
    """Seconds that the kernel will go on, 0 when it does not cut, None when only a person ends it; asks the kernel."""
    done = subprocess.run(['nft', '-j', 'list', 'set', 'inet', TABLE, 'active'], capture_output=True, check=False)
    if done.returncode != 0:
        return 0
    sets = [one['set'] for one in json.loads(done.stdout)['nftables'] if 'set' in one]
    elements: list[Any] = sets[0].get('elem', []) if sets else []
    if not elements:
        return 0
    if any(not isinstance(one, dict) for one in elements):
        return None
    return max(int(one['elem'].get('expires', 0)) for one in elements)


def status(ctx: Context) -> str:
    """For people; tidies the record of an isolation that the kernel has ended."""
    seconds = remaining(ctx)
    record = ctx.remember(RECORD)
    if seconds == 0:
        if record:
            forget(ctx)
        return 'not isolated'
    who = ', '.join(record.get('keep', [])) or 'unknown: the record is missing, so a restart ends it'
    if seconds is None:
        return f'isolated until somebody ends it; kept: {who}'
    until = datetime.fromtimestamp(time.time() + seconds, UTC).strftime('%Y-%m-%d %H:%M UTC')
    return f'isolated until {until} ({left(seconds)} left); kept: {who}'


def recorded(ctx: Context) -> str:
    """The same by the record alone, for whoever may not ask the kernel; empty when nothing cuts."""
    record = ctx.remember(RECORD)
    if not record or (record['until'] and record['until'] <= time.time()):
        return ''
    if not record['until']:
        return 'until somebody ends it'
    return datetime.fromtimestamp(record['until'], UTC).strftime('until %Y-%m-%d %H:%M UTC')


def left(seconds: int) -> str:
    """A time for people."""
    return f'{seconds} s' if seconds < 120 else f'{seconds // 60} min'


def parse(rest: list[str]) -> argparse.Namespace:
    """Reads the arguments; ends the program with 2 when they make no sense."""
    parser = argparse.ArgumentParser(prog='amslpr-device isolate', description=(__doc__ or '').split('\n')[0])
    parser.add_argument('verb', nargs='?', choices=['status', 'end', 'try', 'again'])
    time_ = parser.add_mutually_exclusive_group()
    time_.add_argument('--minutes', type=int, default=MINUTES, help=f'1 to {WEEK}; {MINUTES} unless given')
    time_.add_argument('--permanent', action='store_true', help='until `isolate end`')
    parser.add_argument('--keep', action='append', default=[], metavar='ADDRESS', help='keep SSH from there as well')
    found = parser.parse_args(rest)
    if not 1 <= found.minutes <= WEEK:
        parser.error(f'--minutes {found.minutes}: 1 to {WEEK}, or --permanent')
    return found


def main(ctx: Context, rest: list[str]) -> int:
    """Returns the exit code."""
    wanted = parse(rest)
    if ctx.real and os.geteuid() != 0:
        print('isolate needs root: sudo amslpr-device isolate', file=sys.stderr)
        return 1
    try:
        if wanted.verb == 'end':
            end(ctx)
        elif wanted.verb == 'again':
            print(again(ctx))
            return 0
        elif wanted.verb == 'try':
            tried = ['192.0.2.7', '2001:db8::7', 'fe80::7%eth0']
            ctx.run(['nft', '--check', '-f', '-'], give=rules(tried, [22], 60).encode())
            print('the kernel takes the rules')
            return 0
        elif wanted.verb is None:
            cut(ctx, wanted)
        print(status(ctx))
    except StepError as error:
        print(error.message, f'Next: {error.hint}' if error.hint else '', sep='\n', file=sys.stderr)
        return 1
    return 0


def cut(ctx: Context, wanted: argparse.Namespace) -> None:
    """Isolates as the arguments say; the caller is always kept."""
    found = caller.connection()
    keep = list(dict.fromkeys(kept(one) for one in [*([found[0]] if found else []), *wanted.keep]))
    if not keep:
        raise StepError(
            'nobody would be left who reaches this device: it was not called over SSH',
            'say who is kept: sudo amslpr-device isolate --keep ADDRESS',
        )
    own = ssh_port(ctx)
    ports = sorted({own, found[1] if found else own})
    start(ctx, keep, ports, None if wanted.permanent else wanted.minutes)
