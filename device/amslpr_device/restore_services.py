"""The services that a restore stops and starts, and whether the application answers."""

import contextlib
import http.client
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

from amslpr_device.backup_places import BackupError, Places


class Services:
    """The services of this device."""

    def __init__(self, places: Places, run: Callable[..., Any] = subprocess.run) -> None:
        self.places = places
        self.run = run

    def stop(self) -> None:
        self.run(['systemctl', 'stop', 'amslpr.service'], check=True)

    def start(self, tls: bool) -> None:
        # Some starts in a row are no loop here.
        self.run(['systemctl', 'reset-failed', 'amslpr.service'], check=False)
        self.run(['systemctl', 'start', 'amslpr.service'], check=True)
        if tls:
            self.run(['systemctl', 'restart', 'nginx.service'], check=True)

    def wait_until_healthy(self, seconds: float = 90) -> None:
        """Waits until the log-in page is there; raises BackupError when that takes longer than `seconds`."""
        deadline = time.monotonic() + seconds
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.status_of_login() == 200:
                    return
            if time.monotonic() > deadline:
                raise BackupError(f'the application did not answer within {seconds:.0f} seconds')
            time.sleep(0.5)

    def status_of_login(self) -> int:
        """HTTP status of the log-in page, asked through the application's socket."""
        connection = http.client.HTTPConnection('localhost', timeout=10)
        with closing(socket.socket(socket.AF_UNIX)) as client:
            client.settimeout(10)
            client.connect(str(self.places.socket))
            connection.sock = client
            connection.request('GET', '/login', headers={'X-Forwarded-Proto': 'https'})
            return connection.getresponse().status
