import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Device } from '../qemu/device.ts';

/** Options of the application, each of which opens its sandbox for one kind of hardware. */
export type Kind = 'camera' | 'gpio' | 'serial';
/** What was done with each, or `refused` and why. */
export type Hardware = Readonly<Record<Kind, string>>;

const OPENED: readonly (readonly [Kind, RegExp])[] = [
  ['camera', /^PrivateNetwork=no$/m],
  ['gpio', /^DeviceAllow=char-gpiochip /m],
  ['serial', /^DeviceAllow=char-ttyAMA /m],
];

/** The kinds that the unit of the application is open for: `shown` is what `systemctl show` says of it. */
export const openedFor = (shown: string): Kind[] =>
  OPENED.filter(([, pattern]) => pattern.test(shown)).map(([kind]) => kind);

const DONE: Readonly<Record<Kind, RegExp>> = {
  camera: /^a frame of [1-9]\d* bytes$/,
  gpio: /^[1-9]\d* pins$/,
  serial: /^[1-9]\d* bytes$/,
};

/** Whether what was done with it shows that it works. */
export const works = (kind: Kind, reached: Hardware): boolean => DONE[kind].test(reached[kind]);

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
