import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hostRunner } from '../../src/host/runner.ts';
import type { Device } from '../../src/qemu/device.ts';
import { get, keyDigest } from '../../src/qemu/probes.ts';
import { type Drive, drive, PATIENCE, restart } from '../boot/drive.ts';
import { type OwnAuthority, ownAuthority } from '../helpers/own-authority.ts';
import { builtImage } from '../image/built-image.ts';

// `mode: csr`: the operator's own authority certifies the key that the device made, over SSH, by the run-book.

const PROGRAM = '/usr/sbin/amslpr-device';
const HOST = 'own-authority';
/** Of the site file, beside the host name. */
const NAME = `${HOST}.local`;

let folder: string;
let authority: OwnAuthority;
let card: Drive;
let device: Device;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'amslpr-authority-'));
  authority = await ownAuthority(folder);
  const edit = (text: string): string => text.replace(/^ {2}mode: self-signed$/m, '  mode: csr');
  card = await drive((await builtImage()).image, { unlock: 'card', edit }, HOST);
  device = await card.login();
  await device.waitFor('ready', PATIENCE.ready);
});

afterAll(async () => {
  await device?.ssh.close();
  await card?.stop();
  await rm(folder, { recursive: true, force: true });
});

/** What a program says on either stream, with its exit code as the last line. */
const said = (words: string, input = ''): Promise<string> =>
  device.sudo(['sh', '-c', `${words} 2>&1; echo "exit $?"`], { input });
const install = (pem: string): Promise<string> => said(`${PROGRAM} tls install -`, pem);
const request = (): Promise<string> => device.sudo([PROGRAM, 'tls', 'request']);
const show = async (): Promise<string> => (await device.ssh.run([PROGRAM, 'tls', 'show'])).stdout;
const status = async (): Promise<string> => (await device.ssh.run([PROGRAM, 'status'])).stdout;

/** What openssl says of the device when it trusts the root, and nothing else. */
async function verified(name: string): Promise<string> {
  const trust = ['-no-CApath', '-no-CAstore', '-CAfile', authority.root, '-verify_return_error'];
  const to = ['-connect', `127.0.0.1:${card.guest.ports.https}`, '-servername', name, '-verify_hostname', name];
  const { stdout, stderr } = await hostRunner.run(['openssl', 's_client', ...to, ...trust], {
    input: '',
    okCodes: [0, 1],
    timeout: 120,
  });
  return /^ *Verify return code: .*$/m.exec(stdout)?.[0].trim() ?? stderr;
}
const OK = 'Verify return code: 0 (ok)';

/** Fingerprints of certificate and key that the network is shown. */
async function served(): Promise<readonly string[]> {
  const { certificate } = await get(card.guest, 'https', '/login');
  return certificate === undefined ? [] : [certificate.fingerprint256, keyDigest(certificate)];
}
const inPlace = (): Promise<string> => device.sudo(['sh', '-c', 'cd /etc/amslpr/ssl && ls -li && cat cert.pem']);

describe('a device that waits for its certificate', () => {
  it('says so, and is not trusted yet', async () => {
    expect(await status()).toMatch(/^The request for a certificate of your authority waits/m);
    expect(await show()).toMatch(/^Certificate: +the device's own$/m);
    expect(await verified(HOST)).not.toBe(OK);
  });

  it('gives a request for the key that it has', async () => {
    const [, key] = await served();
    expect(await request()).toMatch(/^-----BEGIN CERTIFICATE REQUEST-----\n[^-]+-----END CERTIFICATE REQUEST-----\s*$/);
    expect(await show()).toContain(`SHA-256 of key:   ${key}`);
  });
});

describe('the certificate of an authority', () => {
  let installed: readonly string[];

  it('for another key is refused, and nothing changes', async () => {
    const before = await inPlace();
    const told = await install(await authority.signOther([HOST, NAME]));
    expect(told).toMatch(/^- it is for another key: it was made for another request/m);
    expect(told).toMatch(/^exit 1$/m);
    expect(await inPlace()).toBe(before);
    expect(await verified(HOST)).not.toBe(OK);
  });

  it('for the request is served, and believed by whoever trusts the root', async () => {
    const [own, key] = await served();
    const told = await install(await authority.sign(await request()));
    expect(told).toMatch(/^The certificate is in place, and nginx has it$/m);
    expect(told).toMatch(/^exit 0$/m);
    // Workers that have not ended yet show the former one for a moment.
    await expect.poll(async () => (await served())[0], { timeout: 120_000, interval: 2000 }).not.toBe(own);
    for (const name of [HOST, NAME]) expect(await verified(name)).toBe(OK);
    installed = await served();
    expect(installed[1]).toBe(key);
    expect(await show()).toContain(`SHA-256:          ${installed[0]}`);
    expect(await status()).not.toContain('The request for a certificate');
  });

  it('stays when nginx does not take another one', async () => {
    const before = await inPlace();
    const broken = '/etc/nginx/conf.d/zz-broken.conf';
    await device.sudo(['sh', '-c', `echo 'this is no setting;' > ${broken}`]);
    const told = await install(await authority.sign(await request()));
    await device.sudo(['rm', broken]);
    expect(told).toMatch(/the earlier certificate is in place again\. nginx failed/);
    expect(told).toMatch(/^exit 1$/m);
    // The file is another one with the same content: only what it says counts.
    const pem = (text: string): string => text.slice(text.indexOf('-----BEGIN'));
    expect(pem(await inPlace())).toBe(pem(before));
    expect(await served()).toEqual(installed);
  });

  it('is left alone by the nightly look and by a restart', async () => {
    await device.sudo(['systemctl', 'start', 'amslpr-tls.service'], { timeout: 300 });
    expect(await served()).toEqual(installed);
    device = await restart(card, device);
    await device.waitFor('ready', PATIENCE.ready);
    // The device is ready a moment before nginx listens.
    await expect.poll(() => served().catch(() => []), { timeout: 300_000, interval: 2000 }).toEqual(installed);
    for (const name of [HOST, NAME]) expect(await verified(name)).toBe(OK);
    expect(await device.audit('tls', 'nginx')).not.toContainEqual(expect.objectContaining({ outcome: 'fail' }));
  });
});
