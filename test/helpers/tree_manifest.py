"""Lists a file system tree, one JSON object a line, sorted by path: what two builds of the same packages must share.

Usage: tree_manifest.py ROOT
Of an initramfs below ROOT/boot, what it unpacks to is listed as well, as INITRAMFS!PATH; its own content is not, since
an archive also holds node numbers.
"""

import hashlib
import json
import os
import stat
import subprocess
import sys
import tempfile


def entry(path: str) -> dict[str, object]:
    """Everything about one node but its place on the disk and, for directories, its size."""
    status = os.lstat(path)
    found: dict[str, object] = {
        'mode': f'{stat.S_IFMT(status.st_mode):o} {stat.S_IMODE(status.st_mode):04o}',
        'owner': f'{status.st_uid}:{status.st_gid}',
        'time': status.st_mtime_ns // 1_000_000_000,
    }
    if stat.S_ISLNK(status.st_mode):
        found['target'] = os.readlink(path)
    if stat.S_ISREG(status.st_mode):
        with open(path, 'rb') as file:
            found['sha256'] = hashlib.file_digest(file, 'sha256').hexdigest()
        found['size'] = status.st_size
    if stat.S_ISBLK(status.st_mode) or stat.S_ISCHR(status.st_mode):
        found['device'] = f'{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}'
    names = [name for name in os.listxattr(path, follow_symlinks=False) if not name.startswith('user.overlay.')]
    if names:
        found['attributes'] = {name: os.getxattr(path, name, follow_symlinks=False).hex() for name in sorted(names)}
    return found


def tree(root: str, prefix: str) -> dict[str, dict[str, object]]:
    """All nodes below root; of hard links, each names the first path of its file."""
    nodes: dict[str, dict[str, object]] = {}
    first: dict[tuple[int, int], str] = {}
    for folder, folders, files in os.walk(root):
        folders.sort()
        for name in sorted([*folders, *files]):
            path = os.path.join(folder, name)
            shown = prefix + path[len(root) :]
            status = os.lstat(path)
            nodes[shown] = entry(path)
            if not stat.S_ISDIR(status.st_mode) and status.st_nlink > 1:
                nodes[shown]['link'] = first.setdefault((status.st_dev, status.st_ino), shown)
    return nodes


def main() -> None:
    """Prints the list."""
    root = sys.argv[1].rstrip('/')
    nodes = tree(root, '')
    for path in [path for path in nodes if path.startswith(('/boot/initrd.img-', '/boot/firmware/initrd'))]:
        if nodes[path].get('sha256') is None:
            continue
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(['unmkinitramfs', root + path, folder], check=True)
            nodes.update(tree(folder, f'{path}!'))
        nodes[path] = {key: value for key, value in nodes[path].items() if key not in ('sha256', 'size')}
    for path in sorted(nodes):
        print(json.dumps({'path': path, **nodes[path]}, sort_keys=True))


main()
