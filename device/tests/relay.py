"""A mail relay on loopback: TLS with a certificate of its own authority, log-in, and faults on demand."""

from __future__ import annotations

import base64
import socketserver
import ssl
import subprocess
import threading
from pathlib import Path


def authority(folder: Path, names: str = 'IP:127.0.0.1') -> tuple[Path, Path, Path]:
    """CA certificate, server certificate and its key; `names` is the subjectAltName of the server."""
    ca, ca_key, key, request, cert = (folder / one for one in ('ca.pem', 'ca.key', 'key.pem', 'csr.pem', 'cert.pem'))
    new = ['openssl', 'req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
    subprocess.run(
        [*new, '-x509', '-days', '2', '-subj', '/CN=Test CA', '-keyout', ca_key, '-out', ca],
        check=True,
        capture_output=True,
    )
    subprocess.run([*new, '-subj', '/CN=relay', '-keyout', key, '-out', request], check=True, capture_output=True)
    extension = folder / 'ext'
    extension.write_text(f'subjectAltName={names}\n')
    sign = ['openssl', 'x509', '-req', '-in', request, '-CA', ca, '-CAkey', ca_key, '-days', '2', '-extfile', extension]
    subprocess.run([*sign, '-out', cert], check=True, capture_output=True)
    return ca, cert, key


class Relay(socketserver.ThreadingTCPServer):
    """Keeps what it took in `taken`: (sender, recipients, text)."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, cert: Path, key: Path, *, starttls: bool = False, password: str = 'secret') -> None:
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(cert, key)
        self.starttls = starttls
        self.offers = True
        self.password = password
        self.refuse: set[str] = set()
        self.refuse_data = ''
        self.taken: list[tuple[str, list[str], str]] = []
        self.sessions = 0
        super().__init__(('127.0.0.1', 0), Session)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that does not believe the certificate ends the session: no news."""


class Session(socketserver.StreamRequestHandler):
    """One session of the protocol, as far as smtplib speaks it."""

    server: Relay  # pyright: ignore[reportIncompatibleVariableOverride]

    def secure(self) -> None:
        self.connection = self.server.tls.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile('rb'), self.connection.makefile('wb', 0)

    def reply(self, *lines: str) -> None:
        for line in lines:
            self.wfile.write(f'{line}\r\n'.encode())

    def handle(self) -> None:
        relay = self.server
        secured = not relay.starttls
        if secured:
            self.secure()
        relay.sessions += 1
        self.reply('220 relay')
        let_in, sender, recipients = False, '', []
        while line := self.rfile.readline().decode().strip():
            word = line.split(' ')[0].upper()
            if word == 'EHLO':
                offers = ['AUTH PLAIN'] if secured else ['STARTTLS'] if relay.offers else []
                self.reply('250-relay', *[f'250-{one}' for one in offers], '250 SIZE 1000000')
            elif word == 'STARTTLS':
                self.reply('220 go ahead')
                self.secure()
                secured = True
            elif word == 'AUTH':
                given = base64.b64decode(line.split(' ')[2]).decode().split('\0')
                let_in = given[1:] == ['gate', relay.password]
                self.reply('235 welcome' if let_in else '535 5.7.8 no')
            elif word == 'MAIL':
                sender, recipients = line.partition('<')[2].partition('>')[0], []
                self.reply('250 ok' if let_in else '530 5.7.0 who are you')
            elif word == 'RCPT':
                to = line.partition('<')[2].partition('>')[0]
                if to in relay.refuse:
                    self.reply('550 5.1.1 nobody')
                else:
                    recipients.append(to)
                    self.reply('250 ok')
            elif word == 'DATA':
                self.reply('354 go on')
                text = ''
                while (part := self.rfile.readline().decode()) not in ('.\r\n', ''):
                    text += part
                if relay.refuse_data and relay.refuse_data in text:
                    self.reply('552 5.3.4 too much')
                else:
                    relay.taken.append((sender, list(recipients), text))
                    self.reply('250 ok')
            elif word == 'QUIT':
                self.reply('221 bye')
                return
            else:
                self.reply('250 ok')
