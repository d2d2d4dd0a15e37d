"""Stands in the place of the application for the measure `headers`: answers each path /NUMBER with that status.

Its answers have the guide's headers too, with values that must not reach anybody. Argument: path of the socket.
"""

import http.server
import pathlib
import socketserver
import sys


class Answer(http.server.BaseHTTPRequestHandler):
    """One request."""

    def do_GET(self) -> None:
        """The status that the path asks for."""
        self.send_response(int(self.path.strip('/') or 200))
        for name in ('X-Frame-Options', 'Strict-Transport-Security', 'Content-Security-Policy', 'X-XSS-Protection'):
            self.send_header(name, 'of-the-application')
        self.send_header('Content-Length', '0')
        self.end_headers()

    def address_string(self) -> str:
        """A Unix socket has no address."""
        return 'nginx'


socket = pathlib.Path(sys.argv[1])
socket.unlink(missing_ok=True)
with socketserver.ThreadingUnixStreamServer(str(socket), Answer) as server:
    socket.chmod(0o666)
    server.serve_forever()
