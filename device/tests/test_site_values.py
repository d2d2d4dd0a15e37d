"""What a value may hold: nothing that could end a line, a key or a word of the files that it is written to."""

import random
import re
import string
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from amslpr_device import site_values as values
from amslpr_device.context import Context
from amslpr_device.site_file import validate
from amslpr_device.steps import hostname, network

SITES = Path(__file__).parents[2] / 'test/fixtures/sites'
KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIC4aHxWLAHRGm0L4oJHDIlhtGmXAHM1mU7Hv1XEQ5Wl'
CHECKS = {
    values.label: 'North gate',
    values.hostname: 'gate-1',
    values.domain: 'gate.example.net',
    values.tls_name: 'fe80::1',
    values.address: '192.0.2.1',
    values.interface: '2001:db8::1/64',
    values.network: 'fe80::/64',
    values.timezone: 'Europe/London',
    values.account: 'alex',
    values.password_hash: '$6$' + 'a' * 16 + '$' + 'b' * 86,
    values.country: 'GB',
    values.ssid: 'Gatehouse',
    values.psk: 'correct horse',
    values.token: 'a' * 43,
    values.ssh_key: f'{KEY} alex@laptop',
    values.recipient: KEY,
    values.choice('keep', 'erase'): 'keep',
}
# What ends or splits lines, words and keys somewhere, and a few characters that are seldom thought of.
SIGNS = '\n\r\0\t\v\f\x1b\x7f\x85\u2028\u2029\u202e\ufeff\xa0\u200b "\'\\;#%=[]{}$`|&<>,/:@-._é前٣'


def spellings(text: str) -> list[str]:
    """The text with each sign before, behind and inside it, and instead of a part."""
    middle = len(text) // 2
    return [
        spelled
        for sign in SIGNS
        for one in (sign, sign + 'x', f'{sign}[wifi]{sign}x=1')
        for spelled in (one + text, text + one, text[:middle] + one + text[middle:], f'{text} {one}', f'{text}%{one}')
    ]


@pytest.mark.parametrize('check', CHECKS, ids=[getattr(one, '__name__', 'choice') for one in CHECKS])
def test_no_value_holds_a_line_end_or_control_character(check: Any) -> None:
    assert check(CHECKS[check])
    for text in spellings(CHECKS[check]):
        try:
            taken = check(text)
        except values.Wrong as wrong:
            assert wrong.message
            continue
        assert taken.isprintable(), repr(text)
        # Taken values are spelled once and for all.
        assert check(taken) == taken


WORDS = {
    values.hostname: '[a-z0-9-]+',
    values.domain: '[a-z0-9.-]+',
    values.tls_name: '[a-z0-9.:-]+',
    values.address: '[0-9a-f.:]+',
    values.interface: '[0-9a-f.:]+/[0-9]+',
    values.network: '[0-9a-f.:]+/[0-9]+',
    values.timezone: '[A-Za-z0-9/_+-]+',
    values.account: '[a-z0-9_-]+',
    values.country: '[A-Z]{2}',
    values.ssh_key: r'ssh-ed25519 [A-Za-z0-9+/=]+( [A-Za-z0-9@._+-]+)?',
}


@pytest.mark.parametrize('check', WORDS, ids=[one.__name__ for one in WORDS])
def test_values_that_stand_in_files_are_plain_words(check: Any) -> None:
    for text in spellings(CHECKS[check]):
        try:
            taken = check(text)
        except values.Wrong:
            continue
        assert re.fullmatch(WORDS[check], taken), repr(taken)


def site_with(changes: dict[str, str]) -> dict[str, Any] | None:
    """The base site with quoted texts in place of some, or None when the validator refuses that."""
    text = (SITES / 'good/base.yaml').read_text()
    for old, new in changes.items():
        quoted = ''.join(char if char.isprintable() and char not in '"\\' else f'\\u{ord(char):04x}' for char in new)
        text = text.replace(old, f'"{quoted}"')
    return validate(text.encode()).site


def lines_of(site: dict[str, Any]) -> dict[str, list[str]]:
    """Sections, keys and other beginnings of lines of each file that the network and host-name steps write."""
    ctx = cast(Context, SimpleNamespace(site=site, at=lambda name: Path('/nonexistent', name.lstrip('/'))))
    files = {name: text for name, (text, _) in network.wanted(ctx).items()}
    files['hosts'] = hostname.hosts(ctx)
    files['localtime'] = hostname.zone(ctx)
    # splitlines() also splits at what only some programs take for a line end.
    return {name: [re.split('[= ]', line)[0] for line in text.splitlines()] for name, text in files.items()}


def test_nobody_breaks_out_of_the_written_files() -> None:
    usual = site_with({})
    assert usual is not None
    wanted = lines_of(usual)
    assert 'psk' in wanted['/etc/NetworkManager/system-connections/amslpr-wifi.nmconnection']
    chance = random.Random(5)  # noqa: S311 - the same texts at every run
    taken = 0
    for _ in range(600):
        name, psk = (''.join(chance.choices(SIGNS + string.ascii_letters, k=chance.randint(1, 12))) for _ in range(2))
        for changes in (
            {'Gatehouse': name},
            {'correct horse': psk * 4},
            {'gate-north': name.lower()},
            {'North gate': name},
        ):
            site = site_with(changes)
            if site is not None:
                taken += 1
                assert lines_of(site) == wanted, changes
    assert taken > 20
    for ascii_sign in string.punctuation + ' ':
        site = site_with({'Gatehouse': ascii_sign * 3, 'correct horse': ascii_sign * 9})
        assert site is not None
        assert lines_of(site) == wanted


def test_wifi_texts_arrive_as_they_were() -> None:
    unescape = {'s': ' ', 'n': '\n', 't': '\t', 'r': '\r', '\\': '\\'}
    for text in (' two  spaces ', '\\s\\n\\ab\\', 'semi;colon;', '#[wifi]=', '"quoted"', '49;50;51;52'):
        site = site_with({'Gatehouse': text, 'correct horse': text})
        assert site is not None
        ctx = cast(Context, SimpleNamespace(site=site, at=Path))
        written = network.wanted(ctx)['/etc/NetworkManager/system-connections/amslpr-wifi.nmconnection'][0]
        pairs = dict(line.split('=', 1) for line in written.splitlines() if '=' in line)
        assert bytes(int(one) for one in pairs['ssid'].rstrip(';').split(';')).decode() == text
        assert re.sub(r'\\(.)', lambda match: unescape[match[1]], pairs['psk']) == text
