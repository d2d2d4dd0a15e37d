"""USB devices that the image's rules did not admit (stage usb): somebody was at the device.

Names that a device gives itself are not told: they are text of whoever made it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from amslpr_device.context import Context
from amslpr_device.monitor.problem import Problem

KINDS = {'03': 'keyboard or mouse', '08': 'disk', '0e': 'camera', '01': 'sound', '07': 'printer', 'e0': 'radio'}


def refused(ctx: Context, _options: dict[str, Any], _now: float) -> Iterator[Problem]:
    """Each refused device that is plugged in now; not the stick of the method usb-key, used only while it is read."""
    kept = '08' if ctx.site.get('unlock', {}).get('method') == 'usb-key' else ''
    found: dict[str, set[str]] = {}
    for interface in sorted(ctx.at('/sys/bus/usb/devices').glob('[0-9]*:*')):
        kind = word(interface / 'bInterfaceClass')
        if word(interface / 'authorized') == '0' and kind != kept:
            port = interface.name.split(':')[0]
            device = interface.parent / port
            name = f'{word(device / "idVendor")}:{word(device / "idProduct")} at port {port}'
            found.setdefault(name, set()).add(KINDS.get(kind, f'class {kind}'))
    for name, kinds in found.items():
        yield Problem(
            f'usb:{name}',
            f'a USB device that is not admitted is plugged in: {name} ({", ".join(sorted(kinds))})',
            'unplug it, or allow it in the configuration of the image: usb.devices',
        )


def word(path: Path) -> str:
    """A value of sysfs; empty when the device has just gone."""
    try:
        return path.read_text().strip()
    except OSError:
        return ''
