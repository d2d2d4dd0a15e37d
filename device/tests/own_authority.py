"""An authority as a company has one: a root that signs an intermediate that signs devices, all by openssl."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

DAY = 86_400
CONFIG = """[ca]
default_ca = d
[d]
database = {folder}/index.txt
new_certs_dir = {folder}
rand_serial = yes
policy = any
unique_subject = no
x509_extensions = made
[any]
commonName = supplied
[made]
"""
DEVICE = ('basicConstraints = critical,CA:FALSE', 'keyUsage = critical,digitalSignature')
SERVER = 'extendedKeyUsage = serverAuth'
AUTHORITY = ('basicConstraints = critical,CA:TRUE', 'keyUsage = critical,keyCertSign,cRLSign')


def openssl(*words: object) -> str:
    """Its output."""
    done = subprocess.run(['openssl', *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def stamp(days: float) -> str:
    """A time so many days from now, as openssl wants it."""
    return time.strftime('%Y%m%d%H%M%SZ', time.gmtime(time.time() + days * DAY))


class Signer:
    """One authority: the root, or whom it signed."""

    def __init__(
        self, folder: Path, name: str, above: Signer | None = None, *, key: str = 'rsa:2048', **made: object
    ) -> None:
        self.folder, self.name = folder / name.replace(' ', ''), name
        self.folder.mkdir()
        (self.folder / 'index.txt').touch()
        self.key, self.pem = self.folder / 'ca.key', self.folder / 'ca.pem'
        subject = ['-subj', f'/CN={name}', '-nodes', '-keyout', self.key]
        if above is None:
            openssl('req', '-x509', '-newkey', key, *subject, '-days', '3650', '-out', self.pem)
        else:
            openssl('req', '-newkey', key, *subject, '-out', self.folder / 'ca.csr')
            self.pem.write_text(above.sign(self.folder / 'ca.csr', AUTHORITY, **made))  # type: ignore[arg-type]

    def sign(
        self,
        request: Path,
        extensions: tuple[str, ...],
        *,
        begins: float = -1,
        ends: float = 365,
        digest: str = 'sha256',
    ) -> str:
        """A certificate for a request; the times are in days from now."""
        config = self.folder / 'ca.cnf'
        config.write_text('\n'.join([CONFIG.format(folder=self.folder), *extensions, '']))
        dates = ['-startdate', stamp(begins), '-enddate', stamp(ends), '-md', digest]
        files = ['-keyfile', self.key, '-cert', self.pem, '-in', request, '-outdir', self.folder]
        return openssl('ca', '-batch', '-notext', '-config', config, *dates, *files)


class Company:
    """A root and an intermediate, and what they make of a device's request."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = Signer(folder, 'Company Root')
        self.between = Signer(folder, 'Company Devices', self.root)

    def request(self, text: str) -> Path:
        """The file with a request, as the operator has it."""
        path = self.folder / 'gate.csr'
        path.write_text(text)
        return path

    def leaf(self, request: Path, *names: str, use: tuple[str, ...] = (*DEVICE, SERVER), **made: object) -> str:
        """The device's certificate alone."""
        listed = (f'subjectAltName = {",".join(names)}',) if names else ()
        return self.between.sign(request, (*use, *listed), **made)  # type: ignore[arg-type]

    def chain(self, request: Path, *names: str, **made: object) -> str:
        """It with the intermediate, as the authority sends it."""
        return self.leaf(request, *names, **made) + self.between.pem.read_text()  # type: ignore[arg-type]
