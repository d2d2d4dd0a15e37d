"""Guesses passwords of a device, as a person with bad intentions would; started on a neighbour by the measure `bans`.

Usage: guess.py KIND SOURCE TARGET TRIES ACCOUNT, KIND being `ssh` (a user that does not exist, with a key), `known`
(the same for ACCOUNT, which does), `greet` (a connection to the SSH port that reads the greeting) or `web` (a wrong
password for the log-in page, with its token).
Stops at the first try that finds no connection, or one that ends without a word. Prints JSON: for each try its begin
and end in seconds of the monotonic clock, and what came of it: `answered`, `limited` (429), or `refused` and why.
"""

import functools
import http.client
import json
import pathlib
import re
import socket
import ssl
import subprocess
import sys
import time
import urllib.parse

KEY = pathlib.Path('/run/score-guess')


def ssh(source: str, target: str, account: str = 'admin') -> str:
    """Tries a key that nobody knows; sshd's answer is that it is denied."""
    if not KEY.exists():
        subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', str(KEY)], check=True)
    options = ['BatchMode=yes', 'ConnectTimeout=5', 'ConnectionAttempts=1', 'IdentitiesOnly=yes', 'LogLevel=ERROR']
    options += ['StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'IdentityAgent=none']
    argv = ['ssh', '-F', 'none', '-b', source, '-i', str(KEY)]
    for option in options:
        argv += ['-o', option]
    argv += [f'{account}@{target}', 'true']
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=45, check=False)
    except subprocess.TimeoutExpired:
        # What a ban does to a connection that it meets half made.
        return 'refused: no answer'
    return 'answered' if 'Permission denied' in done.stderr else f'refused: {done.stderr.strip()[-200:]}'


def greet(source: str, target: str) -> str:
    """Connects and reads sshd's first line."""
    try:
        with socket.create_connection((target, 22), timeout=5, source_address=(source, 0)) as connection:
            said = connection.recv(64)
    except OSError as error:
        return f'refused: {error}'
    return 'answered' if said.startswith(b'SSH-2.0-') else f'refused: {said.decode(errors="replace").strip()}'


def web(source: str, target: str) -> str:
    """Opens the log-in page and sends a wrong password with its token; 200 is the page again."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    connection = http.client.HTTPSConnection(target, 443, timeout=10, context=context, source_address=(source, 0))
    host = {'Host': f'[{target}]' if ':' in target else target}
    try:
        connection.request('GET', '/login', headers=host)
        page = connection.getresponse()
        cookie = '; '.join(line.split(';')[0] for line in page.headers.get_all('Set-Cookie') or [])
        token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page.read().decode(errors='replace'))
        form = {'username': 'admin', 'password': 'guess', 'csrf_token': token[1] if token is not None else ''}
        kind = {'Content-Type': 'application/x-www-form-urlencoded', 'Cookie': cookie}
        connection.request('POST', '/login', urllib.parse.urlencode(form), host | kind)
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException) as error:
        return f'refused: {error!r}'
    finally:
        connection.close()
    return {200: 'answered', 429: 'limited'}.get(answer.status, f'refused: {answer.status}')


def main() -> None:
    """Does the tries."""
    kind, source, target, tries, account = sys.argv[1:]
    one = {'ssh': ssh, 'known': functools.partial(ssh, account=account), 'greet': greet, 'web': web}[kind]
    done: list[dict[str, object]] = []
    for _ in range(int(tries)):
        begin = time.monotonic()
        said = one(source, target)
        done.append({'begin': begin, 'end': time.monotonic(), 'said': said})
        if said.startswith('refused'):
            break
    json.dump(done, sys.stdout)


main()
