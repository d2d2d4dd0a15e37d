"""OpenSSH's own server on loopback, for one account that may do nothing but SFTP."""

from __future__ import annotations

import contextlib
import os
import pwd
import socket
import subprocess
import time
from pathlib import Path

SSHD = '/usr/sbin/sshd'


def make_key(path: Path, kind: str = 'ed25519') -> str:
    """A key pair; returns the public line without its comment."""
    subprocess.run(['ssh-keygen', '-q', '-t', kind, '-N', '', '-f', str(path)], check=True)
    return ' '.join(path.with_suffix('.pub').read_text().split()[:2])


class SftpServer:
    """Keeps files in `folder / 'files'`; `authorize` lets a key in, `options` are those of internal-sftp."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = folder / 'files'
        self.files.mkdir(parents=True)
        self.user = pwd.getpwuid(os.getuid()).pw_name
        self.host_key = make_key(folder / 'host')
        self.child: subprocess.Popen[bytes] | None = None
        with socket.create_server(('127.0.0.1', 0)) as free:
            self.port = int(free.getsockname()[1])
        self.start()

    def authorize(self, line: str) -> None:
        """As the operator does."""
        (self.folder / 'authorized_keys').write_text(f'{line}\n')

    def start(self, options: str = '-P remove,rmdir,posix-rename') -> None:
        """Starts it, again with other options."""
        self.stop()
        config = self.folder / 'sshd_config'
        config.write_text(
            f'ListenAddress 127.0.0.1\nPort {self.port}\nHostKey {self.folder}/host\nPidFile none\nUsePAM no\n'
            f'AuthorizedKeysFile {self.folder}/authorized_keys\nStrictModes no\nPasswordAuthentication no\n'
            f'PermitRootLogin prohibit-password\nSubsystem sftp internal-sftp\nForceCommand internal-sftp {options}\n'
        )
        # Root's one wants it; nobody else can make it, or needs it.
        with contextlib.suppress(PermissionError):
            Path('/run/sshd').mkdir(mode=0o755, exist_ok=True)
        command = [SSHD, '-D', '-e', '-f', str(config)]
        with (self.folder / 'log').open('ab') as log:
            self.child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        for _ in range(200):
            try:
                socket.create_connection(('127.0.0.1', self.port), 1).close()
                return
            except OSError:
                assert self.child.poll() is None, (self.folder / 'log').read_text()
                time.sleep(0.05)
        raise AssertionError('the server does not answer')

    def stop(self) -> None:
        """Ends it."""
        if self.child is not None:
            self.child.terminate()
            self.child.wait()
            self.child = None
