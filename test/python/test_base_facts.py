"""native/base-facts.py on small trees."""

import hashlib
import pathlib
import subprocess
import sys

PROGRAM = pathlib.Path(__file__).parents[2] / 'native/base-facts.py'


def digest(text: str) -> str:
    """MD5 in hex."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def make_tree(root: pathlib.Path) -> None:
    """Three packages, all as their packages brought them."""
    files = {
        'usr/bin/tool': 'tool',
        'etc/tool.conf': 'setting',
        'usr/lib/library': 'library',
        'usr/share/keyrings/key.pgp': 'key',
        'var/lib/dpkg/info/tool.md5sums': f'{digest("tool")}  bin/tool\n'
        f'{digest("page")}  usr/share/man/man1/tool.1.gz\n',
        'var/lib/dpkg/info/library:arm64.md5sums': f'{digest("library")}  usr/lib/library\n',
        'var/lib/dpkg/arch': 'arm64\narmhf\n',
        'etc/apt/sources.list.d/own.sources': 'Types: deb\nSigned-By: /usr/share/keyrings/key.pgp\n',
        'var/lib/dpkg/status': 'Package: tool\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n'
        f'Conffiles:\n /etc/tool.conf {digest("setting")}\n\n'
        'Package: library\nStatus: install ok installed\nArchitecture: arm64\nVersion: 1\n\n'
        'Package: gone\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 1\n',
    }
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def changed(tmp_path: pathlib.Path) -> list[str]:
    """What the program says about the tree."""
    out = tmp_path / 'out'
    out.mkdir()
    subprocess.run([sys.executable, '-I', str(PROGRAM), str(tmp_path / 'root'), str(out)], check=True)
    assert (out / 'arch').read_text() == 'arm64\narmhf\n'
    assert (out / 'sources/own.sources').exists()
    assert (out / 'keyrings/_usr_share_keyrings_key.pgp').read_text() == 'key'
    return (out / 'changed').read_text().split()


def test_nothing_changed(tmp_path: pathlib.Path) -> None:
    """A manual page that was left out counts for nothing."""
    make_tree(tmp_path / 'root')
    assert changed(tmp_path) == []


def test_changed_conffile_and_missing_library(tmp_path: pathlib.Path) -> None:
    """Each of them is told, under the name of its package."""
    make_tree(tmp_path / 'root')
    (tmp_path / 'root/etc/tool.conf').write_text('another')
    (tmp_path / 'root/usr/lib/library').unlink()
    assert changed(tmp_path) == ['library', 'tool']


def test_diverted_file_is_no_change(tmp_path: pathlib.Path) -> None:
    """dpkg moved it."""
    make_tree(tmp_path / 'root')
    (tmp_path / 'root/usr/bin/tool').rename(tmp_path / 'root/usr/bin/tool.distrib')
    (tmp_path / 'root/var/lib/dpkg/diversions').write_text('/usr/bin/tool\n/usr/bin/tool.distrib\n:\n')
    assert changed(tmp_path) == []
