"""Started in the place of the application, in its sandbox: what of the hardware it reaches. Argument: a camera's port.

Prints one line of JSON: for `camera`, `gpio` and `serial` what was done with them, or why not.
"""

import fcntl
import http.client
import json
import os
import struct
import sys
from collections.abc import Callable

GPIO_GET_CHIPINFO = 0x8044B401


def camera() -> str:
    """Reads one frame."""
    connection = http.client.HTTPConnection('10.0.2.2', int(sys.argv[1]), timeout=10)
    connection.request('GET', '/frame.jpg')
    frame = connection.getresponse().read()
    return f'a frame of {len(frame)} bytes' if frame[:2] == b'\xff\xd8' else 'no frame'


def gpio() -> str:
    """Asks a chip how many pins it has."""
    chip = os.open('/dev/gpiochip0', os.O_RDWR)
    answer = fcntl.ioctl(chip, GPIO_GET_CHIPINFO, bytes(68))
    return f'{struct.unpack("32s32sI", answer)[2]} pins'


def serial() -> str:
    """Writes a line to the serial port."""
    port = os.open('/dev/ttyAMA0', os.O_RDWR | os.O_NOCTTY)
    return f'{os.write(port, b"from the application to the serial port" + bytes([13, 10]))} bytes'


def tried(one: Callable[[], str]) -> str:
    """What it did, or why not."""
    try:
        return one()
    except OSError as error:
        return f'refused: {error.strerror or error}'


print('hardware', json.dumps({one.__name__: tried(one) for one in (camera, gpio, serial)}), flush=True)
