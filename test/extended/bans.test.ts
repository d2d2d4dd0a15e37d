import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { hostRunner } from '../../src/host/runner.ts';
import type { Device } from '../../src/qemu/device.ts';
import { type Drive, drive, PATIENCE } from '../boot/drive.ts';
import { builtImage } from '../image/built-image.ts';

// Who guesses from a network of the administrators is banned for ten minutes, and a power cycle ends it.

const edit = (text: string): string => text.replace(/^\.\.\.$/m, 'network:\n  management:\n    - 10.0.2.0/24\n...');

let site: Drive;
let device: Device;

beforeAll(async () => {
  site = await drive((await builtImage()).image, { unlock: 'card', edit }, 'bans');
  device = await site.login();
  await device.waitFor('ready', PATIENCE.ready);
});

afterAll(async () => {
  await device?.ssh.close();
  await site?.stop();
});

it('bans an administrator who guesses for ten minutes, until the power is gone for a moment', async () => {
  const { guest } = site;
  const key = join(guest.folder, 'guess');
  await hostRunner.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', key]);
  // Whoever is banned cannot ask: the device writes it onto its console.
  const banned = 'until fail2ban-client get sshd-management banip --with-time | grep 10.0.2.2; do sleep 1; done';
  await device.sudo(['systemd-run', '--quiet', 'sh', '-c', `(${banned}) >/dev/console`]);
  await device.ssh.close();
  const told = async (): Promise<boolean> =>
    /^10\.0\.2\.2\s.* \+ 600 = /m.test(await readFile(guest.console, 'latin1'));
  const options = ['BatchMode=yes', 'IdentitiesOnly=yes', 'StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null'];
  options.push('ConnectTimeout=30', 'ServerAliveInterval=10', 'ServerAliveCountMax=2');
  const guess = async (): Promise<string> => {
    const ssh = [
      'ssh',
      '-F',
      'none',
      '-p',
      String(guest.ports.ssh),
      '-i',
      key,
      ...options.flatMap((one) => ['-o', one]),
    ];
    // The ban may come in the middle of a connection, which then hears nothing any more.
    const command = ['timeout', '90', ...ssh, 'nobody-here@127.0.0.1'];
    return (await hostRunner.run(command, { okCodes: [124, 255] })).stderr;
  };
  let refusals = 0;
  while (refusals < 6 && !(await told())) if ((await guess()).includes('Permission denied')) refusals += 1;
  expect(refusals).toBeGreaterThanOrEqual(2);
  await expect.poll(told, { timeout: 60_000, interval: 500 }).toBe(true);
  expect(await guess()).not.toContain('Permission denied');
  const starts = guest.starts();
  guest.powerCycle();
  await guest.waitForRestart(starts, PATIENCE.ssh);
  device = await site.login();
  await device.waitFor('ready', PATIENCE.ready);
  // It starts anew when the journal moves to the data.
  const asked = 'until fail2ban-client ping >/dev/null 2>&1; do sleep 1; done; fail2ban-client status sshd-management';
  expect(await device.sudo(['sh', '-c', asked], { timeout: 300 })).toMatch(/Banned IP list:\s*$/);
});
