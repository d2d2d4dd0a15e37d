import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Device } from '../../src/qemu/device.ts';
import { reachedHardware } from '../../src/score/hardware.ts';
import { type Drive, drive, failures, PATIENCE } from '../boot/drive.ts';
import { builtImage, builtVariant } from '../image/built-image.ts';

// An image whose configuration gives the application cameras, GPIO pins and a serial port: it reaches them, and is as
// closed as its options allow. In the default image it reaches none of them.

let folder: string;
let card: Drive;
let device: Device;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'amslpr-devices-'));
  const config = join(folder, 'devices.yaml');
  const usual = await readFile('config/amslpr.yaml', 'utf8');
  await writeFile(config, usual.replace(/^( {2}(?:camera|gpio|serial)): false$/gm, '$1: true'));
  const { image } = await builtVariant(config, 'devices');
  card = await drive(image, 'card', 'devices');
  device = await card.login();
  await device.waitFor('ready', PATIENCE.ready);
});

afterAll(async () => {
  await device?.ssh.close();
  await card?.stop();
  await rm(folder, { recursive: true, force: true });
});

it('reads a frame, asks the GPIO chip, and writes to the serial port', async () => {
  expect(await reachedHardware(device)).toEqual({
    camera: 'a frame of 1004 bytes',
    gpio: expect.stringMatching(/^[1-9]\d* pins$/),
    serial: '41 bytes',
  });
  expect(await readFile(card.guest.console, 'latin1')).toContain('from the application to the serial port');
});

it('passes every check', async () => {
  expect(failures(await device.audit())).toEqual([]);
  const said = await device.sudo(['systemd-analyze', 'security', '--no-pager', '--threshold=20', 'amslpr.service']);
  expect(said).toMatch(/Overall exposure level for amslpr\.service: [01]\.\d/);
});

it('of the default image reaches none of them', async () => {
  await device.ssh.close();
  await card.stop();
  card = await drive((await builtImage()).image, 'card', 'closed');
  device = await card.login();
  await device.waitFor('ready', PATIENCE.ready);
  const refused = expect.stringMatching(/^refused: /);
  expect(await reachedHardware(device)).toEqual({ camera: refused, gpio: refused, serial: refused });
});
