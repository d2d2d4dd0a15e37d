import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hostRunner } from '../../src/host/runner.ts';
import type { Device } from '../../src/qemu/device.ts';
import { type Drive, drive, PATIENCE } from '../boot/drive.ts';
import { type SftpServer, startSftp } from '../helpers/sftp-server.ts';
import { builtImage } from '../image/built-image.ts';

// Backups get off the card by SFTP, in the sandboxes of the units, to OpenSSH's own server on this host.

const PROGRAM = '/usr/sbin/amslpr-device';
const WARNING = 'none has ever been copied off this card';
let folder: string;
let server: SftpServer;
let card: Drive;
let device: Device;

const status = async (): Promise<string> => (await device.ssh.run([PROGRAM, 'status'])).stdout;
const archives = async (): Promise<string[]> =>
  (await readdir(server.files)).filter((name) => name.endsWith('.age') && !name.startsWith('.')).toSorted();
const push = (verb: string, options = {}): Promise<string> =>
  device.sudo([PROGRAM, 'backup', 'push', verb], { timeout: 600, ...options });
const settings = (hostKey: string): string =>
  `server: 10.0.2.2\nport: ${server.port}\nuser: ${server.user}\npath: ${server.files}\nhost_keys:\n  - ${hostKey}\n`;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'amslpr-push-'));
  server = await startSftp(folder);
  card = await drive((await builtImage()).image, 'card', 'push');
  device = await card.login();
  await device.waitFor('ready', PATIENCE.ready);
});

afterAll(async () => {
  await device?.ssh.close();
  await card?.stop();
  await server?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

describe('copies of backups', () => {
  it('are missed: status says so, and after two days it is an alert', async () => {
    expect(await status()).not.toContain(WARNING);
    await device.sudo(['systemctl', 'start', 'amslpr-backup.service'], { timeout: 900 });
    expect(await status()).toContain(WARNING);
    await device.sudo(['touch', '--date=3 days ago', '/var/lib/amslpr-device/ready']);
    // Seen six times in a row; one that the timer starts meanwhile counts with ours.
    for (let look = 0; look < 8; look += 1) {
      await device.sudo(['systemctl', 'start', 'amslpr-monitor.service'], { timeout: 300 });
    }
    expect(await status()).toMatch(/^Alert: no backup of the last 8 days has a copy off this card/m);
  });

  it('are not sent to a server that shows another host key', async () => {
    await hostRunner.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', '', '-f', join(folder, 'other')]);
    const other = (await hostRunner.run(['cat', join(folder, 'other.pub')])).stdout.trim();
    const said = await push('set', { input: settings(other) });
    const line = said.split('\n').find((one) => one.startsWith('restrict,')) ?? 'none';
    await server.authorize(line);
    // A server that is not the one that was meant fails no unit.
    await device.sudo(['systemctl', 'start', 'amslpr-backup-push.service'], { timeout: 600 });
    expect(await push('show')).toMatch(/^The last attempt failed: .* none of the host keys that are pinned/m);
    expect(await readdir(server.files)).toEqual([]);
  });

  it('go there by the units alone, after each backup', async () => {
    await push('set', { input: settings(server.hostKey) });
    await device.sudo(['systemctl', 'start', 'amslpr-backup.service'], { timeout: 900 });
    await expect.poll(async () => (await archives()).length, { timeout: 900_000, interval: 5000 }).toBe(2);
    // The service notes the last one after it has arrived.
    const unsent = async () => /^Not sent yet: (\d+)$/m.exec(await push('show'))?.[1];
    await expect.poll(unsent, { timeout: 300_000, interval: 5000 }).toBe('0');
    expect(await readdir(server.files)).toHaveLength(4);
    expect(await push('show')).not.toContain('The last attempt failed');
    expect((await device.sudo(['stat', '-c', '%a', '/etc/amslpr/secrets/backup-push-key'])).trim()).toBe('600');
  });

  it('decrypt with the operator’s key alone', async () => {
    const [newest = 'none'] = (await archives()).toReversed();
    const command = `age -d -i ${card.site.identity} ${join(server.files, newest)} | tar -tzf -`;
    const { stdout } = await hostRunner.run(['sh', '-c', command]);
    expect(stdout).toMatch(/^database\/amslpr\.db$/m);
    expect(stdout).toMatch(/^manifest\.json$/m);
  });

  it('end the warning and the alert', async () => {
    expect(await status()).not.toContain(WARNING);
    for (let look = 0; look < 5; look += 1) {
      await device.sudo(['systemctl', 'start', 'amslpr-monitor.service'], { timeout: 300 });
    }
    expect(await status()).not.toContain('has a copy off this card');
    // The monitor has started the timer for a server that is away for a while.
    expect((await device.sudo(['systemctl', 'is-active', 'amslpr-backup-push.timer'])).trim()).toBe('active');
  });

  it('end with `push off`', async () => {
    await push('off');
    await device.sudo(['systemctl', 'start', 'amslpr-backup.service'], { timeout: 900 });
    await device.sudo(['systemctl', 'start', 'amslpr-backup-push.service'], { timeout: 300 });
    expect(await archives()).toHaveLength(2);
  });
});
