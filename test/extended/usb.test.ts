import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { hostRunner } from '../../src/host/runner.ts';
import type { Device } from '../../src/qemu/device.ts';
import { type Drive, drive, failures, PATIENCE } from '../boot/drive.ts';
import { builtImage } from '../image/built-image.ts';

// Devices in the USB ports of the default image: a hub, a keyboard and a network card are used; a serial adapter, a
// sound card and a stick are not, also when their drivers are there.

const folder = await mkdtemp(join(tmpdir(), 'amslpr-usb-'));
let card: Drive;
let device: Device;

beforeAll(async () => {
  const { image } = await builtImage();
  const board = { usb: { devices: ['hub', 'keyboard', 'network', 'serial', 'sound'] } } as const;
  card = await drive(image, 'card', 'usb', { board });
  device = await card.login();
  await device.waitFor('ready', PATIENCE.ready);
});
afterAll(async () => {
  await device?.ssh.close();
  await card?.stop();
  await rm(folder, { recursive: true, force: true });
});

/** Lines of `usb-interfaces list`, without the port. */
async function interfaces(): Promise<string[]> {
  const told = await device.sudo(['/usr/lib/amslpr/usb-interfaces', 'list']);
  return told
    .trim()
    .split('\n')
    .map((line) => line.replace(/^\d+-[\d.]+:\S+ /, ''));
}

it('uses hub, keyboard and network card, and nothing else', async () => {
  const found = await interfaces();
  const inUse = found.filter((line) => line.endsWith(' in use')).map((line) => line.split(' ').slice(0, 3).join(' '));
  expect(inUse.filter((line) => / 09....\b/.test(line))).toHaveLength(1);
  expect(inUse.filter((line) => / 030101\b/.test(line))).toHaveLength(1);
  expect(inUse.filter((line) => / (02|0a)....\b/.test(line))).toHaveLength(2);
  expect(inUse).toHaveLength(4);
  const refused = found.filter((line) => line.endsWith(' refused, not used'));
  expect(refused.filter((line) => line.startsWith('0403:6001 ff'))).toHaveLength(1);
  expect(refused.filter((line) => / 01....\b/.test(line)).length).toBeGreaterThan(1);
  expect(found.filter((line) => line.endsWith('by itself: devices 0, interfaces 0'))).toHaveLength(2);
  expect(failures(await device.audit('usb'))).toEqual([]);
});

it('gives the admitted ones their drivers', async () => {
  const { stdout } = await device.ssh.run(['sh', '-c', 'readlink /sys/bus/usb/devices/*:*/driver']);
  const drivers = stdout.split('\n').map((path) => path.split('/').at(-1));
  expect(drivers).toEqual(expect.arrayContaining(['hub', 'usbhid']));
  expect(drivers.some((name) => name === 'cdc_ether' || name === 'rndis_host')).toBe(true);
  expect(drivers).not.toContain('ftdi_sio');
  expect(drivers).not.toContain('snd-usb-audio');
});

it('does not use a stick, whatever drivers are loaded, and tells of it', async () => {
  const stick = join(folder, 'stick');
  await hostRunner.run(['mkfs.vfat', '-n', 'AMSLPRKEY', '-C', stick, '16384']);
  await device.sudo(['modprobe', '--ignore-install', '--all', 'usb-storage', 'uas', 'ftdi_sio']);
  await card.guest.plug(stick);
  await sleep(10_000);
  expect((await interfaces()).filter((line) => / 08....\b/.test(line))).toEqual([
    expect.stringMatching(/ 080650 refused, not used$/),
  ]);
  expect((await device.ssh.run(['lsblk', '-no', 'TRAN'])).stdout).not.toContain('usb');
  await device.sudo(['systemctl', 'start', 'amslpr-monitor']);
  const told = await device.sudo(['journalctl', '-b', '--no-pager', '-o', 'cat', '-t', 'amslpr-alert']);
  expect(told).toMatch(/a USB device that is not admitted is plugged in: 46f4:0001 at port \S+ \(disk\)/);
  expect(told).toMatch(/0403:6001 at port \S+ \(class ff\)/);
  expect(told).toMatch(/\(sound\)/);
});

it('uses it only while the method usb-key asks', async () => {
  await device.sudo(['systemctl', 'start', 'amslpr-stick-drivers']);
  await sleep(5000);
  expect((await device.ssh.run(['lsblk', '-no', 'TRAN'])).stdout).toContain('usb');
  await device.sudo(['systemctl', 'stop', 'amslpr-stick-drivers']);
  expect((await device.ssh.run(['lsblk', '-no', 'TRAN'])).stdout).not.toContain('usb');
  expect(failures(await device.audit('usb'))).toEqual([]);
});

it('tells when somebody uses one all the same', async () => {
  await device.sudo(['sh', '-c', 'for one in /sys/bus/usb/devices/*:*; do echo 1 > $one/authorized; done']);
  expect(failures(await device.audit('usb'))).toEqual([expect.stringMatching(/^usb\/admitted: .*refused, in use/s)]);
});
