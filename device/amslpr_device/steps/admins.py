"""Makes the administrators: account, groups, home and keys in /etc/ssh/authorized_keys.d, which root alone changes.

Checked entry by entry, in the account files themselves. A cut between the files that useradd writes leaves an account
without some of them, and stale locks; both are mended. No password is set here: sudo's comes when the recovery bundle
is on record.
"""

from __future__ import annotations

import os
import shutil
from typing import Any

from amslpr_device.context import Context
from amslpr_device.files import holds, make_folder, write

GROUPS = ('amslpr-admins', 'sudo', 'adm')
KEYS = '/etc/ssh/authorized_keys.d'


def entries(ctx: Context, path: str) -> dict[str, list[str]]:
    """Lines of an account file by their first field."""
    try:
        rows = [line.split(':') for line in ctx.at(path).read_text().splitlines() if ':' in line]
    except OSError:
        return {}
    return {row[0]: row for row in rows}


def keys_text(admin: dict[str, Any]) -> str:
    """The account's keys, one a line."""
    return ''.join(f'{key}\n' for key in admin['keys'])


def gids(groups: dict[str, list[str]]) -> set[str]:
    """Numbers of the groups that are there."""
    return {row[2] for row in groups.values() if len(row) > 2}


def account_ok(ctx: Context, name: str) -> bool:
    """Whether account, shadow entry, groups and home are there, and nothing ages."""
    row = entries(ctx, '/etc/passwd').get(name)
    shadow = entries(ctx, '/etc/shadow').get(name)
    groups = entries(ctx, '/etc/group')
    if row is None or shadow is None or len(row) < 7 or len(shadow) < 8:
        return False
    home = ctx.at(row[5])
    return (
        row[3] in gids(groups)
        and all(name in groups.get(group, ['', '', '', ''])[3].split(',') for group in GROUPS)
        and home.is_dir()
        and home.stat().st_uid == int(row[2])
        and shadow[4] in ('', '-1', '99999')
        and shadow[7] == ''
        and not shadow[1].startswith('!')
    )


def keys_ok(ctx: Context, admin: dict[str, Any]) -> bool:
    """Whether the file of keys says what the site says."""
    return holds(ctx.at(f'{KEYS}/{admin["name"]}'), keys_text(admin), 0o644)


def product_ok(ctx: Context) -> bool:
    """Whether every administrator can log in."""
    return all(account_ok(ctx, admin['name']) and keys_ok(ctx, admin) for admin in ctx.site['admins'])


def make(ctx: Context) -> None:
    """Makes what is missing."""
    make_folder(ctx.at(KEYS))
    for admin in ctx.site['admins']:
        if not account_ok(ctx, admin['name']):
            make_account(ctx, admin['name'])
        if not keys_ok(ctx, admin):
            write(ctx.at(f'{KEYS}/{admin["name"]}'), keys_text(admin))
    close_backups(ctx)


def close_backups(ctx: Context) -> None:
    """Nobody but root reads what the tools above left as backups of secrets; tmpfiles.d has it so at each start."""
    for name in ('shadow-', 'gshadow-'):
        path = ctx.at(f'/etc/{name}')
        if path.exists():
            if ctx.real:
                os.chown(path, 0, 0)
            path.chmod(0)


def make_account(ctx: Context, name: str) -> None:
    """Makes or mends one account. `*` is no password, and unlike `!` no lock either."""
    prefix = unlocked(ctx)
    if name not in entries(ctx, '/etc/passwd'):
        group = ['--gid', name] if name in entries(ctx, '/etc/group') else ['--user-group']
        ctx.run(['useradd', *prefix, '--create-home', *group, '--shell', '/bin/bash', '--password', '*', name])
    number = entries(ctx, '/etc/passwd')[name][3]
    if number not in gids(entries(ctx, '/etc/group')):
        # useradd writes the account before its group.
        ctx.run(['groupadd', *prefix, '--gid', number, name])
    if name not in entries(ctx, '/etc/shadow'):
        ctx.run(['usermod', *prefix, '--password', '*', name])
    ctx.run(['usermod', *prefix, '--append', '--groups', ','.join(GROUPS), name])
    password = entries(ctx, '/etc/shadow').get(name, ['', '*'])[1]
    if password.startswith('!'):
        ctx.run(['usermod', *prefix, '--password', password.lstrip('!') or '*', name])
    if ctx.real:
        ctx.run(['chage', '--maxdays', '-1', '--expiredate', '-1', '--inactive', '-1', name])
    row = entries(ctx, '/etc/passwd')[name]
    make_folder(ctx.at('/home'))
    home = ctx.at(row[5])
    home.mkdir(mode=0o700, exist_ok=True)
    home.chmod(0o700)
    os.chown(home, int(row[2]), int(row[3]))
    os.sync()


def unlocked(ctx: Context) -> list[str]:
    """Removes locks that a cut left, and gives the arguments that name another root."""
    for file in ('passwd', 'shadow', 'group', 'gshadow', 'subuid', 'subgid'):
        ctx.at(f'/etc/{file}.lock').unlink(missing_ok=True)
    return [] if ctx.real else ['--prefix', str(ctx.root)]


def remove_account(ctx: Context, name: str) -> None:
    """Removes an account, its group and its home."""
    prefix = unlocked(ctx)
    row = entries(ctx, '/etc/passwd').get(name)
    if row is not None:
        ctx.run(['userdel', *prefix, name])
        shutil.rmtree(ctx.at(row[5]), ignore_errors=True)
    if name in entries(ctx, '/etc/group'):
        # A cut between the files of userdel.
        ctx.run(['groupdel', *prefix, name])
    os.sync()
