"""A device that was just written, in a folder: a few files, and the manifest of them as the build makes it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from amslpr_device.context import Context
from amslpr_device.integrity import command, tree

FILES = {
    'usr/bin/tool': 'tool 1\n',
    'usr/lib/x/data': 'data\n',
    'usr/lib/x/data-2': 'more\n',
    'usr/lib/x.conf': 'sorts between x and x/\n',
    'etc/hostname': 'image\n',
    'etc/app.conf': 'a = 1\n',
    'etc/ssh/sshd_config': 'x\n',
    'opt/app/main.py': 'print()\n',
    'boot/firmware/cmdline.txt': 'quiet\n',
    'boot/firmware/STATUS.TXT': '\n',
    'usr/share/amslpr/data-binds.json': '[]',
    'usr/share/amslpr/integrity.json': '{}\n',
    'usr/lib/Größe \\ and space': 'odd\n',
}


def written(folder: Path) -> Context:
    """Nothing was touched since it was written."""
    made = Context(folder / 'device')
    for path, text in FILES.items():
        made.at(path).parent.mkdir(parents=True, exist_ok=True)
        made.at(path).write_text(text)
        made.at(path).chmod(0o644)
    made.at('/etc/link').symlink_to('hostname')
    for number, target in enumerate(('Főtanúsítvány \\ x.crt', '-', 'a b')):
        made.at(f'/etc/odd-{number}').symlink_to(target)
    made.at('/var/lib').mkdir(parents=True)
    time.sleep(0.02)
    build(made)
    return made


def build(ctx: Context, sums: bytes = b'', *, settled: bool = False) -> None:
    """The manifest, by the program as the build runs it.

    It knows whole seconds, and trusts what was not touched since: with `settled` it waits, and there is such a file.
    """
    epoch = int(time.time()) + (1 if settled else 0)
    arguments = [sys.executable, '-B', tree.__file__, str(ctx.root), '/nowhere', str(epoch)]
    subprocess.run(arguments, input=sums, check=True)
    while settled and time.time() <= epoch:
        time.sleep(0.05)


def check(ctx: Context, *, whole: bool = False) -> dict[str, str]:
    """What differs."""
    return command.look(ctx, whole=whole).differences


def edit(path: str, text: str = 'changed\n') -> Callable[[Context], object]:
    """Writes a file of the device."""
    return lambda ctx: (ctx.at(path).parent.mkdir(parents=True, exist_ok=True), ctx.at(path).write_text(text))
