"""Paths that are not of the image alone: what the device makes, what programs make of packages, what nobody minds."""

from __future__ import annotations

import re
from fnmatch import translate
from functools import cache

# Written all the time: by the device itself; by Python, which any program of root may have compile a module; by auditd,
# which makes one file of its folder of rules at each start.
IGNORED = """
    etc/resolv.conf etc/adjtime etc/.pwd.lock etc/.updated etc/mtab
    boot/firmware/STATUS.TXT boot/firmware/report.json boot/firmware/bundle.? boot/firmware/site.yaml
    boot/firmware/FSCK*.REC usr/share/amslpr/manifest.gz etc/audit/audit.rules etc/audit/audit.rules.prev
    */__pycache__ */__pycache__/*
""".split()

# Made by the first boot, and changed by an administrator's command: as they are when the device is first looked at.
OWN = """
    etc/machine-id etc/hostname etc/hosts etc/localtime etc/timezone etc/passwd* etc/shadow* etc/group* etc/gshadow*
    etc/subuid* etc/subgid* etc/ssh/ssh_host_* etc/ssh/authorized_keys.d/* etc/NetworkManager/system-connections*
    etc/ufw/* etc/apt/apt.conf.d/53amslpr-reboot-minute etc/ld.so.cache etc/udev/hwdb.bin etc/systemd/system/*.wants/*
    etc/amslpr/* etc/modprobe.d/amslpr-wifi-country.conf etc/console-setup/cached_*
    etc/security/opasswd etc/fail2ban/jail.d/site.local
""".split()

# Made of packages by their scripts: may change while dpkg works, and at no other time.
GENERATED = """
    etc/ld.so.cache etc/ssl/certs/* etc/ca-certificates.conf* etc/alternatives/* etc/pam.d/common-* etc/shells
    etc/passwd* etc/shadow* etc/group* etc/gshadow* etc/subuid* etc/subgid* etc/mailcap etc/udev/hwdb.bin etc/rc?.d/*
    etc/console-setup/cached_* etc/systemd/system/*.wants/* etc/apparmor.d/cache/* etc/fonts/conf.d/*
    etc/runit/runsvdir/* usr/lib/udev/hwdb.bin usr/lib/modules/* usr/lib/firmware/* usr/share/mime/*
    usr/share/info/dir* usr/share/glib-2.0/schemas/gschemas.compiled usr/lib/*/gio/modules/giomodule.cache
    usr/lib/*/gconv/gconv-modules.cache usr/lib/locale/* boot/initrd.img* boot/vmlinuz* boot/config-* boot/System.map*
    boot/firmware/*
""".split()


@cache
def _expression(which: str) -> re.Pattern[str]:
    lists = {'ignored': IGNORED, 'own': OWN, 'generated': GENERATED}
    return re.compile('|'.join(translate(one) for one in lists[which]))


def ignored(path: str) -> bool:
    """Nobody minds."""
    return _expression('ignored').match(path) is not None


def own(path: str) -> bool:
    """The device's own, from its first day on. `*` fits folders too."""
    return _expression('own').match(path) is not None


def generated(path: str) -> bool:
    """Made by scripts of packages."""
    return _expression('generated').match(path) is not None
