"""Moves the manifest on when apt installed packages: only for files of packages that came signed, and just now.

apt calls `before` with its list of what dpkg is to do, and `after` each time that dpkg ended. A package counts when the
archive that dpkg gets has the SHA-256 that apt's signed index has for it. Of such a package a file counts when its
content is what dpkg noted (md5sums, conffiles) or ucf (its hash file); links and folders, and what scripts generate,
when they were made since dpkg started. Anything else stays as the manifest has it, and so becomes an alert: an edited
file that an upgrade left alone, a package that was installed by hand, a file that came at the same time.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from amslpr_device.context import Context, StepError
from amslpr_device.files import make_folder, write_record
from amslpr_device.integrity import names, state, tree

DPKG = '/var/lib/dpkg'
UCF = '/var/lib/ucf'


def before(ctx: Context, text: str) -> int:
    """Takes apt's list in its third version; how many packages are believed."""
    lines = text.split('\n')
    if not lines or not lines[0].startswith('VERSION 3'):
        raise StepError('apt gave its list in another form', 'DPkg::Tools::Options in apt.conf.d/90amslpr-integrity')
    pending: dict[str, Any] = {'since': time.time(), 'packages': {}, 'gone': []}
    archives: dict[tuple[str, str, str], str] = {}
    for line in lines[lines.index('') + 1 :] if '' in lines else []:
        fields = line.split(' ')
        if len(fields) < 9:
            continue
        name, version, arch, action = fields[0], fields[5], fields[6], ' '.join(fields[8:])
        if action == '**REMOVE**':
            pending['gone'] += listed(ctx, name, fields[2])
        elif action.startswith('/'):
            archives[name, version, arch] = action
    signed = indexed(ctx, archives)
    for (name, version, arch), path in archives.items():
        if signed.get((name, version, arch)) == tree.digest(path):
            pending['packages'][f'{name}:{arch}'] = version
            pending['gone'] += listed(ctx, name, arch)
    make_folder(state.folder(ctx), 0o700)
    write_record(state.folder(ctx) / 'pending.json', pending)
    return len(pending['packages'])


def indexed(ctx: Context, archives: dict[tuple[str, str, str], str]) -> dict[tuple[str, str, str], str]:
    """SHA-256 of each package by apt's indexes, whose signatures apt checked when it took them."""
    if not archives:
        return {}
    asked = [f'{name}:{arch}={version}' if arch != 'all' else f'{name}={version}' for name, version, arch in archives]
    found: dict[tuple[str, str, str], str] = {}
    for block in ctx.run(['apt-cache', 'show', *asked], ok=(0, 100)).decode().split('\n\n'):
        fields = dict(re.findall(r'^(Package|Version|Architecture|SHA256): (\S+)$', block, re.M))
        if len(fields) == 4:
            found[fields['Package'], fields['Version'], fields['Architecture']] = fields['SHA256']
    return found


def info(ctx: Context, name: str, arch: str, ending: str) -> Path | None:
    """A file of dpkg's own records of a package."""
    for stem in (f'{name}:{arch}', name):
        path = ctx.at(f'{DPKG}/info/{stem}.{ending}')
        if path.exists():
            return path
    return None


def listed(ctx: Context, name: str, arch: str) -> list[str]:
    """Paths of a package, without a leading slash."""
    path = info(ctx, name, arch, 'list')
    return [line.lstrip('/') for line in path.read_text().splitlines() if line != '/.'] if path else []


def after(ctx: Context) -> int:
    """Takes in what dpkg did with packages that are believed; how many paths moved."""
    try:
        pending = json.loads((state.folder(ctx) / 'pending.json').read_text())
    except (OSError, ValueError):
        return 0
    if not pending['packages'] and not pending['gone']:
        return 0
    known = state.moved(ctx)
    moved = dict(known)
    since = float(pending['since'])
    status, moved_aside, real = stanzas(ctx), diversions(ctx), Resolver(ctx)
    for key, version in pending['packages'].items():
        name, arch = key.split(':')
        stanza = status.get((name, arch), '')
        # Otherwise not unpacked, or undone: what is there is judged by what was known.
        if f'\nVersion: {version}\n' in stanza:
            sums = recorded(ctx, name, arch, stanza)
            for path in {*listed(ctx, name, arch), *sums}:
                take(ctx, moved, real(moved_aside(path, name)), sums.get(path), since)
    for path in pending['gone']:
        place = real(path)
        if not os.path.lexists(ctx.at(f'/{place}')):
            moved[place] = ''
    for path, found in tree.walk(str(ctx.root)):
        if found.st_ctime >= since - 1 and made_by_scripts(ctx, path, found) and not names.ignored(path):
            moved[path] = tree.entry(str(ctx.root), path, found).line()
    vanished(ctx, moved, since)
    state.put_moved(ctx, moved)
    return sum(known.get(path) != line for path, line in moved.items())


def made_by_scripts(ctx: Context, path: str, found: os.stat_result) -> bool:
    """What no package brings as it is."""
    if names.generated(path):
        return True
    return tree.kind_of(found.st_mode) == 'l' and os.readlink(ctx.at(f'/{path}')).startswith('/etc/alternatives/')


def vanished(ctx: Context, moved: dict[str, str], since: float) -> None:
    """What scripts generated before and took away: the folder that it was in changed since."""
    from amslpr_device.integrity import compare

    for one in compare.wanted(str(ctx.root), moved):
        if one.kind == '#' or not names.generated(one.path) or os.path.lexists(ctx.at(f'/{one.path}')):
            continue
        parent = ctx.at('/' + os.path.dirname(one.path))
        if not parent.exists() or parent.stat().st_ctime >= since - 1 or one.path.startswith(tree.BOOT):
            moved[one.path] = ''


class Resolver:
    """Follows links of a path's folders: packages may still say /lib for /usr/lib. Each folder is asked once."""

    def __init__(self, ctx: Context) -> None:
        self.root = os.path.realpath(ctx.root)
        self.known: dict[str, str | None] = {}

    def __call__(self, path: str) -> str:
        parent, name = os.path.split(path)
        if parent not in self.known:
            self.known[parent] = self.folder(parent)
        folder = self.known[parent]
        return path if folder is None else os.path.normpath(os.path.join(folder, name))

    def folder(self, parent: str) -> str | None:
        """From the root on; None when it leads outside."""
        resolved = os.path.realpath(os.path.join(self.root, parent))
        if resolved != self.root and not resolved.startswith(self.root.rstrip('/') + '/'):
            return None
        return os.path.relpath(resolved, self.root)


def take(ctx: Context, moved: dict[str, str], path: str, md5: str | None, since: float) -> None:
    """Moves one path on if it is what dpkg put there."""
    full = ctx.at(f'/{path}')
    try:
        found = os.lstat(full)
    except OSError:
        return
    if path.split('/')[0] not in tree.ROOTS or names.ignored(path):
        return
    if tree.kind_of(found.st_mode) == 'f' and md5 is not None:
        if hashlib.md5(full.read_bytes(), usedforsecurity=False).hexdigest() != md5:
            return
    elif found.st_ctime < since - 1:
        return
    moved[path] = tree.entry(str(ctx.root), path, found).line()


def stanzas(ctx: Context) -> dict[tuple[str, str], str]:
    """Paragraphs of dpkg's status by name and architecture, framed by line ends."""
    found: dict[tuple[str, str], str] = {}
    for block in ctx.at(f'{DPKG}/status').read_text().split('\n\n'):
        fields = dict(re.findall(r'^(Package|Architecture): (\S+)$', block, re.M))
        if len(fields) == 2:
            found[fields['Package'], fields['Architecture']] = f'\n{block}\n'
    return found


def recorded(ctx: Context, name: str, arch: str, stanza: str) -> dict[str, str]:
    """MD5 of each file as the package brings it: by md5sums, by the list of conffiles, and by ucf for its own."""
    found: dict[str, str] = {}
    path = info(ctx, name, arch, 'md5sums')
    for line in path.read_text().splitlines() if path else []:
        md5, _, file = line.partition('  ')
        found[file] = md5
    found |= dict(re.findall(r'^ /(\S+) ([0-9a-f]{32})(?: obsolete)?$', stanza, re.M))
    return found | ucf_files(ctx, name)


def diversions(ctx: Context) -> Callable[[str, str], str]:
    """Where a file of a package really is: another path when it was diverted, and not by the package itself."""
    try:
        lines = ctx.at(f'{DPKG}/diversions').read_text().splitlines()
    except OSError:
        lines = []
    moved = {old.lstrip('/'): (new.lstrip('/'), by) for old, new, by in zip(*[iter(lines)] * 3, strict=False)}

    def place(path: str, package: str) -> str:
        new, by = moved.get(path, (path, package))
        return path if by == package else new

    return place


def ucf_files(ctx: Context, package: str) -> dict[str, str]:
    """MD5 of the configuration files that ucf keeps for a package, by path."""
    try:
        owned = {
            line.split()[1] for line in ctx.at(f'{UCF}/registry').read_text().splitlines() if line.split()[0] == package
        }
        sums = [line.split() for line in ctx.at(f'{UCF}/hashfile').read_text().splitlines()]
    except (OSError, IndexError):
        return {}
    return {one[1].lstrip('/'): one[0] for one in sums if len(one) == 2 and one[1] in owned}
