"""A mail relay and a log server on loopback, both with TLS, until standard input ends.

Argument: a folder for certificates. Prints a line of JSON with their ports and the authority's file; for each line that
it is given another one, with the texts of the mails and the log that came so far.
"""

from __future__ import annotations

import json
import socket
import ssl
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / 'device' / 'tests'))

from relay import Relay, authority


def receive(listening: socket.socket, tls: ssl.SSLContext, kept: bytearray) -> None:
    """Takes what connections bring, one after the other."""
    while True:
        plain, _ = listening.accept()
        try:
            with tls.wrap_socket(plain, server_side=True) as connection:
                while part := connection.recv(65536):
                    kept += part
        except OSError:
            plain.close()


def main() -> None:
    """Runs both."""
    ca, cert, key = authority(Path(sys.argv[1]), 'IP:10.0.2.2')
    relay = Relay(cert, key)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(cert, key)
    listening = socket.create_server(('127.0.0.1', 0))
    log = bytearray()
    threading.Thread(target=receive, args=(listening, tls, log), daemon=True).start()
    print(json.dumps({'mail': relay.port, 'logs': listening.getsockname()[1], 'ca': str(ca)}), flush=True)
    for _ in sys.stdin:
        mails = [text for _, _, text in relay.taken]
        print(json.dumps({'mails': mails, 'log': log.decode(errors='replace')}), flush=True)


if __name__ == '__main__':
    main()
