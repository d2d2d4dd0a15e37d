"""A changed site file on a device that nobody has logged in to: what the former site made is taken back.

`claimed` is made by systemd at the first log-in of an administrator, `data-used` at the first backup. Everything here
can be done twice; the new site is accepted after it, so that a cut in between starts again. The SSH host key stays.

The data is made again, with new secrets and a new bundle, when the bundle, the passwords or the unlock method would no
longer be those of the site. But data of which there is a backup, or that was adopted, is not lost without a word: then
it counts as that of an earlier device, and the site file's `data: existing:` decides.
"""

from __future__ import annotations

import hashlib
import shutil
from typing import Any

from amslpr_device.context import Context
from amslpr_device.files import sync_folder, write_record
from amslpr_device.site_file import recipients
from amslpr_device.steps.admins import KEYS, entries, remove_account
from amslpr_device.steps.clean_site_file import SECRET, blank
from amslpr_device.steps.firewall import JAILS, RULES
from amslpr_device.steps.network import CONNECTIONS, COUNTRY

OFFERED = 'site-offered.json'
DATA = 'data.json'
LEFT = 'left'


def claimed(ctx: Context) -> bool:
    """Whether an administrator has logged in, and no word of a site file about earlier data is waited for."""
    data = ctx.remember(DATA)
    asks = data.get('state') == LEFT if data else not (ctx.state / 'partitions.json').exists()
    return (ctx.state / 'claimed').exists() and not asks


def cleaned(raw: bytes) -> bytes:
    """What `clean_site_file` makes of a file."""
    return SECRET.sub(blank, raw)


def digest(text: bytes) -> str:
    """SHA-256, in hexadecimal."""
    return hashlib.sha256(text).hexdigest()


def note_offered(ctx: Context, raw: bytes, canonical: str) -> None:
    """Remembers how the file will look once its secrets are taken out: it is no other site then."""
    write_record(ctx.state / OFFERED, {'canonical': digest(canonical.encode()), 'cleaned': digest(cleaned(raw))})


def is_other(ctx: Context, raw: bytes, canonical: str, accepted: str) -> bool:
    """Whether a good file on the boot partition is another site than the accepted one."""
    if canonical == accepted:
        return False
    found = ctx.remember(OFFERED)
    known = found.get('canonical') == digest(accepted.encode()) and found.get('cleaned') == digest(raw)
    return not known


def of_the_data(site: dict[str, Any]) -> tuple[object, ...]:
    """What container, bundle and passwords were made for."""
    admins = sorted((one['name'], one.get('sudo-password-hash', '')) for one in site['admins'])
    return sorted(recipients(site)), admins, site['unlock'], site['name']


def take_back(ctx: Context, old: dict[str, Any], new: dict[str, Any]) -> None:
    """Removes what the old site made and the new one does not make over."""
    # As at a first boot: nothing that follows SSH starts before the new site's administrators are there.
    (ctx.state / 'ssh-ready').unlink(missing_ok=True)
    names = {admin['name'] for admin in new['admins']}
    for admin in old['admins']:
        if admin['name'] not in names:
            ctx.at(f'{KEYS}/{admin["name"]}').unlink(missing_ok=True)
            remove_account(ctx, admin['name'])
    if 'wifi' not in new.get('network', {}):
        for path in (f'{CONNECTIONS}/amslpr-wifi.nmconnection', COUNTRY):
            ctx.at(path).unlink(missing_ok=True)
    if 'cameras' not in new.get('network', {}):
        ctx.at(f'{CONNECTIONS}/amslpr-cameras.nmconnection').unlink(missing_ok=True)
    ctx.at(JAILS).unlink(missing_ok=True)
    for name, path in RULES.items():
        if (ctx.state / name).exists():
            shutil.copy(ctx.state / name, ctx.at(path))
    found = ctx.remember(DATA)
    if found and of_the_data(old) != of_the_data(new):
        forget_data(ctx, found, names & entries(ctx, '/etc/shadow').keys())
    for folder in (
        '/var/lib/amslpr-device',
        '/etc/ssh/authorized_keys.d',
        CONNECTIONS,
        '/etc/ufw',
        '/etc/fail2ban/jail.d',
    ):
        if ctx.at(folder).is_dir():
            sync_folder(ctx.at(folder))


def forget_data(ctx: Context, found: dict[str, Any], names: set[str]) -> None:
    """The container is made again, or left to the site file's word; passwords come with the new bundle."""
    from amslpr_device.steps.sudo_passwords import put_hashes

    put_hashes(ctx, dict.fromkeys(names, '*'))
    in_use = (
        found.get('adopted') or found.get('state') in (LEFT, 'adopting', 'cloned') or (ctx.state / 'data-used').exists()
    )
    state = LEFT if in_use else 'intended'
    write_record(ctx.state / DATA, {'uuid': found['uuid'], 'generation': found['generation'], 'state': state})
    for name in ('ready', 'data-used'):
        (ctx.state / name).unlink(missing_ok=True)
    sync_folder(ctx.state)
