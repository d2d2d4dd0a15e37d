"""The archive of a backup: a gzipped tar with a manifest, encrypted by age while it is written."""

import contextlib
import hashlib
import io
import json
import os
import socket
import stat
import subprocess
import tarfile
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from amslpr_device.backup_places import FORMAT, SUFFIX, BackupError, Places, sync_folder


def write_archive(
    places: Places,
    name: str,
    members: list[tuple[str, Path]],
    tables: dict[str, dict[str, int]],
    recipients: list[str],
) -> dict[str, Any]:
    """Writes NAME.tar.gz.age, complete or not at all, and returns its record."""
    target, unfinished = places.backups / (name + SUFFIX), places.backups / f'.{name}.part'
    arguments = [argument for recipient in recipients for argument in ('-r', recipient)]
    manifest: dict[str, Any] = {
        'format': FORMAT,
        'created': datetime.now(UTC).isoformat(timespec='seconds'),
        'host': socket.gethostname(),
        'tables': tables,
        'files': {},
    }
    descriptor = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, 'rb') as output:
            age = subprocess.Popen(['age', *arguments], stdin=subprocess.PIPE, stdout=output, stderr=subprocess.PIPE)
            assert age.stdin is not None and age.stderr is not None
            try:
                with age.stdin, tarfile.open(fileobj=age.stdin, mode='w|gz') as archive:
                    for member, path in members:
                        # A picture may be removed meanwhile; everything else is a copy.
                        with contextlib.suppress(FileNotFoundError):
                            manifest['files'][member] = add_file(archive, member, path)
                    text = json.dumps(manifest, indent=2).encode()
                    archive.addfile(entry('manifest.json', len(text)), io.BytesIO(text))
            except BrokenPipeError:
                pass  # age ended early; its exit code and message say why.
            finally:
                complaint = age.stderr.read().decode('utf-8', 'replace').strip()
                failed = age.wait() != 0
            if failed:
                raise BackupError(f'age could not encrypt the backup: {complaint}')
            os.fsync(output.fileno())
            output.seek(0)
            # age leaves out recipients that it cannot use, with no more than a warning.
            if (stanzas := count_stanzas(output)) != len(recipients):
                raise BackupError(f'age used {stanzas} of {len(recipients)} recipients: {complaint}')
            output.seek(0)
            digest = hashlib.file_digest(output, 'sha256').hexdigest()
            size = os.fstat(output.fileno()).st_size
        unfinished.rename(target)
        sync_folder(places.backups)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    manifest['files'] = len(manifest['files'])
    return {**manifest, 'name': name, 'size': size, 'sha256': digest, 'recipients': len(recipients)}


def add_file(archive: tarfile.TarFile, member: str, path: Path) -> dict[str, Any]:
    """Adds a file that may grow meanwhile; returns size and SHA-256 of what was added."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, 'rb') as source:
        status = os.fstat(source.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise BackupError(f'{path} is not a file any more')
        reader = HashingReader(source)
        archive.addfile(entry(member, status.st_size), reader)  # type: ignore[arg-type]
        return {'size': status.st_size, 'sha256': reader.digest.hexdigest()}


class HashingReader:
    """Passes a file on and hashes what passes."""

    def __init__(self, source: IO[bytes]) -> None:
        self.source = source
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self.source.read(size)
        self.digest.update(data)
        return data


def entry(name: str, size: int) -> tarfile.TarInfo:
    """A tar header that says nothing about accounts of this device."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o600
    info.mtime = int(datetime.now(UTC).timestamp())
    return info


def count_stanzas(archive: IO[bytes]) -> int:
    """How many recipients an age file is for; 0 when it is none. `grease` stanzas are there to be ignored."""
    if archive.readline(100) != b'age-encryption.org/v1\n':
        return 0
    stanzas = 0
    for _ in range(1000):
        line = archive.readline(4096)
        if line.startswith(b'---') or not line:
            break
        stanzas += line.startswith(b'-> ') and not line.split()[1].endswith(b'-grease')
    return stanzas
