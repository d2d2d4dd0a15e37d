import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hostRunner } from '../../src/host/runner.ts';
import type { Device } from '../../src/qemu/device.ts';
import { get } from '../../src/qemu/probes.ts';
import { type Drive, drive, PATIENCE } from '../boot/drive.ts';
import { type Sinks, startSinks } from '../helpers/sinks.ts';
import { builtImage } from '../image/built-image.ts';

// What operators do with a device in use, by the run-books, in the sandboxes of its units: mail, logs, a new release.

const PROGRAM = '/usr/sbin/amslpr-device';
let folder: string;
let sinks: Sinks;
let card: Drive;
let device: Device;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'amslpr-operations-'));
  sinks = await startSinks(folder);
  card = await drive((await builtImage()).image, 'card', 'operations');
  device = await card.login();
  await device.waitFor('ready', PATIENCE.ready);
});

afterAll(async () => {
  await device?.ssh.close();
  await card?.stop();
  await sinks?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

describe('mail', () => {
  it('of a test goes to the relay of the operator', async () => {
    const relay = ['server: 10.0.2.2', `port: ${sinks.mail}`, 'security: tls', 'user: gate', 'from: gate@example.net'];
    await device.sudo([PROGRAM, 'mail', 'set'], { input: `${relay.join('\n')}\nto:\n  - operator@example.net\n` });
    await device.sudo([PROGRAM, 'mail', 'ca'], { input: await readFile(sinks.ca, 'utf8') });
    await device.sudo([PROGRAM, 'mail', 'password'], { input: 'secret\n' });
    await device.sudo([PROGRAM, 'mail', 'test'], { timeout: 120 });
    expect((await sinks.taken()).mails).toHaveLength(1);
  });

  it('tells of a unit that failed, by the units alone', async () => {
    const alert = '--property=OnFailure=amslpr-alert@boom.service.service';
    await device.sudo(['systemd-run', '--unit=boom', alert, '/bin/false']);
    const told = async () => (await sinks.taken()).mails.some((text) => text.includes('boom.service'));
    await expect.poll(told, { timeout: 900_000, interval: 5000 }).toBe(true);
    await device.sudo(['systemctl', 'reset-failed', 'boom.service']);
  });

  it('has the daily report', async () => {
    const before = (await sinks.taken()).mails.length;
    await device.sudo(['systemctl', 'start', 'amslpr-digest.service'], { timeout: 300 });
    const count = async () => (await sinks.taken()).mails.length;
    await expect.poll(count, { timeout: 900_000, interval: 5000 }).toBeGreaterThan(before);
  });
});

describe('the journal', () => {
  it('goes to the log server, by its unit', async () => {
    const server = `server: 10.0.2.2\nport: ${sinks.logs}\n`;
    await device.sudo([PROGRAM, 'logs', 'set'], { input: server });
    await device.sudo([PROGRAM, 'logs', 'ca'], { input: await readFile(sinks.ca, 'utf8') });
    await device.sudo(['logger', '--tag', 'gate', 'a line for the log server']);
    await device.sudo(['systemctl', 'start', 'amslpr-logs.service'], { timeout: 900 });
    const came = async () => (await sinks.taken()).log.includes('a line for the log server');
    await expect.poll(came, { timeout: 900_000, interval: 5000 }).toBe(true);
  });
});

describe('a new release of the application', () => {
  const releases = async () => (await device.sudo(['readlink', '/opt/amslpr/current'])).trim();
  const answers = async () => (await get(card.guest, 'https', '/login')).status;

  /** Packs the stand-in with one file changed, and copies it to the device. */
  async function pack(change: (text: string) => string): Promise<string> {
    const source = join(folder, 'release');
    await rm(source, { recursive: true, force: true });
    await cp('standin/app', source, { recursive: true, dereference: true });
    const app = join(source, 'src', 'web', 'app.py');
    await writeFile(app, change(await readFile(app, 'utf8')));
    const { stdout } = await hostRunner.run(['sh', '-c', `tar --dereference -cz -C ${source} . | base64 -w0`]);
    await device.ssh.run(['sh', '-c', 'base64 -d > app.tar.gz'], { input: stdout });
    return `/home/${card.site.user}/app.tar.gz`;
  }

  it('is installed, answers, and is the one that runs', async () => {
    const before = await releases();
    const path = await pack((text) => `${text}\n# The next version.\n`);
    await device.sudo([PROGRAM, 'app', 'update', path], { timeout: 900 });
    expect(await releases()).not.toBe(before);
    expect(await answers()).toBe(200);
  });

  it('that does not answer goes again by itself', async () => {
    const before = await releases();
    const path = await pack((text) => `${text}\nraise SystemExit('broken')\n`);
    const said = await device.sudo(['sh', '-c', `${PROGRAM} app update ${path} 2>&1; echo "exit $?"`], {
      timeout: 1200,
    });
    expect(said).toMatch(/^exit 1$/m);
    expect(await releases()).toBe(before);
    expect(await answers()).toBe(200);
  });

  it('is given up for the one before', async () => {
    const newer = await releases();
    await device.sudo([PROGRAM, 'app', 'rollback'], { timeout: 900 });
    expect(await releases()).not.toBe(newer);
    expect(await answers()).toBe(200);
    expect(await device.sudo([PROGRAM, 'app', 'list'])).toContain(newer.split('/').at(-1) ?? '');
  });
});
