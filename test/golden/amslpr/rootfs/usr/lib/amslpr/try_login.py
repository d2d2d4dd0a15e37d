"""Tries passwords at the application's log-in, through its socket: `try_login.py ACCOUNT PASSWORD…`.

Prints `PASSWORD: refused` or `PASSWORD: accepted` for each; for checks of published passwords. Exit code 2 when the
application does not answer as AMSLPR does.
"""

import http.client
import re
import socket
import sys
from urllib.parse import urlencode

SOCKET = '/run/amslpr/app.sock'
HEADERS = {
    'Host': 'localhost',
    'X-Forwarded-For': '127.0.0.1',
    'X-Forwarded-Proto': 'https',
    'X-Forwarded-Host': 'localhost',
    'Referer': 'https://localhost/login',
}


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(SOCKET)


def request(method: str, path: str, body: str | None, headers: dict[str, str]) -> tuple[int, str, str]:
    """Status, session cookie (`name=value` or empty) and text of the answer."""
    connection = UnixConnection('localhost')
    connection.request(method, path, body, {**HEADERS, **headers})
    response = connection.getresponse()
    cookie = (response.getheader('Set-Cookie') or '').split(';')[0]
    return response.status, cookie, response.read().decode('utf-8', 'replace')


def accepted(account: str, password: str) -> bool:
    """Whether the log-in takes `password`; AMSLPR answers 302 to a right one and 200 to a wrong one."""
    status, cookie, page = request('GET', '/login', None, {})
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)
    if status != 200 or token is None:
        raise SystemExit(f'no log-in page with a token: status {status}')
    form = urlencode({'username': account, 'password': password, 'csrf_token': token[1]})
    headers = {'Cookie': cookie, 'Content-Type': 'application/x-www-form-urlencoded'}
    status, _, _ = request('POST', '/login', form, headers)
    if status not in (200, 302):
        raise SystemExit(f'the log-in answered {status}')
    return status == 302


if __name__ == '__main__':
    name, *passwords = sys.argv[1:]
    for word in passwords:
        print(f'{word}: {"accepted" if accepted(name, word) else "refused"}')
