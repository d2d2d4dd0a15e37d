"""Makes, opens and uses a container as `steps/data.py` does on a board without AES, on a spare block device.

Runs in a guest, in the sandbox of amslpr-provision.service. Prints the cipher, and whether what was written came back.
"""

import os
import sys
import uuid
from pathlib import Path

sys.path.insert(0, '/usr/lib/amslpr')
from amslpr_device import luks
from amslpr_device.context import Context

device, place = Path(sys.argv[1]), Path('/run/adiantum')
luks.has_aes = lambda ctx: False
luks.MAPPER = 'adiantum'
ctx = Context(site={'hostname': 'adiantum'})
key, recovery = os.urandom(32), b'recovery'
luks.format_container(ctx, device, str(uuid.uuid4()), key, luks.RANDOM_KEY)
luks.add_key(ctx, device, key, recovery, luks.RANDOM_KEY)
assert luks.opens(ctx, device, recovery)
assert not luks.opens(ctx, device, b'another')
mapped, text = '/dev/mapper/adiantum', os.urandom(8 << 20)
place.mkdir(exist_ok=True)
for given in (key, recovery):
    luks.open_container(ctx, device, given)
    if given is key:
        print(ctx.run(['cryptsetup', 'status', 'adiantum']).decode())
        ctx.run(['mkfs.ext4', '-q', '-F', mapped])
    ctx.run(['mount', '-t', 'ext4', mapped, str(place)])
    if given is key:
        (place / 'file').write_bytes(text)
        os.sync()
    else:
        print('came back' if (place / 'file').read_bytes() == text else 'did not come back')
    ctx.run(['umount', str(place)])
    ctx.run(['cryptsetup', 'close', 'adiantum'])
print('on the disk' if text[:4096] in device.read_bytes() else 'not on the disk')
