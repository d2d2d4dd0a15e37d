import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Device } from '../../src/qemu/device.ts';

export type Hardware = Readonly<Record<'camera' | 'gpio' | 'serial', string>>;

/** The beginning and the end of a JPEG picture. */
const FRAME = Buffer.concat([Buffer.from([0xff, 0xd8]), Buffer.alloc(1000), Buffer.from([0xff, 0xd9])]);

const DROP_IN = '/run/systemd/system/amslpr.service.d';
/** Where the application may read, as its AppArmor profile says. */
const PROGRAM = '/run/amslpr/probe.py';

/** What a program in the application's sandbox reaches: a camera in the network, a GPIO chip, the serial port. */
export async function reachedHardware(device: Device): Promise<Hardware> {
  const camera = createServer((_, answer) => answer.end(FRAME));
  await new Promise<void>((resolve) => camera.listen(0, '127.0.0.1', resolve));
  const { port } = camera.address() as AddressInfo;
  const program = await readFile(join(import.meta.dirname, 'hardware.py'), 'utf8');
  const unit = `[Service]\nType=oneshot\nRestart=no\nExecStart=\nExecStart=/usr/bin/python3 ${PROGRAM} ${port}\n`;
  const start = [
    `mkdir -p ${DROP_IN}; cat >${PROGRAM}; chmod 0644 ${PROGRAM}; printf '${unit.replaceAll('\n', '\\n')}' >${DROP_IN}/probe.conf`,
    'systemctl daemon-reload; systemctl restart amslpr.service || true',
    'journalctl --sync; journalctl --boot --unit amslpr.service --output cat --grep "^hardware " --lines 1',
  ].join('\n');
  try {
    const said = await device.sudo(['sh', '-c', start], { input: program, timeout: 300 });
    return JSON.parse(said.slice(said.indexOf('{'))) as Hardware;
  } finally {
    await device.sudo(
      ['sh', '-c', `rm -r ${DROP_IN} ${PROGRAM}; systemctl daemon-reload; systemctl restart amslpr.service`],
      {
        timeout: 300,
      },
    );
    camera.close();
  }
}
