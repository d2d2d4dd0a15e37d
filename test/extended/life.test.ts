import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { silent } from '../../src/core/log.ts';
import { flash } from '../../src/flash/flash.ts';
import { hostRunner } from '../../src/host/runner.ts';
import { type Device, openDevice } from '../../src/qemu/device.ts';
import { type Guest, startGuest } from '../../src/qemu/guest.ts';
import { get, keyDigest } from '../../src/qemu/probes.ts';
import { enroll } from '../../src/site/enroll.ts';
import { initSite } from '../../src/site/init-site.ts';
import { personalize } from '../../src/site/personalize.ts';
import { recover } from '../../src/site/recover.ts';
import { PATIENCE, patiently } from '../boot/drive.ts';
import { consoleTimes } from '../helpers/console-times.ts';
import { Visitor } from '../helpers/visitor.ts';
import { builtImage } from '../image/built-image.ts';

// The life of one site, as README.md and docs/runbooks/backup.md tell it, by the commands' own functions: its card is
// made, used, backed up and lost, and another card goes on with its data.

const GIB = 2 ** 30;
const NAME = 'north-gate';
const PLATE = 'LIFE2042';
const CHOSEN = 'a password that a person chose 5512';
const context = { runner: hostRunner, log: silent };

let folder: string;
/** A file of the operator's machine. */
const at = (name: string): string => join(folder, name);
let guest: Guest | undefined;
let device: Device;
let sudoPassword: string;
let adminPassword: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'amslpr-life-'));
});
afterAll(async () => {
  await device?.ssh.close();
  await guest?.stop();
  await rm(folder, { recursive: true, force: true });
});

/** Puts a card into the board, waits until it is ready, and does what README.md says of a new device. */
async function putIn(card: string, enrolment: string): Promise<Guest> {
  const board = await startGuest(card);
  guest = board;
  await consoleTimes(board, PATIENCE.ssh + PATIENCE.ready);
  const target = { user: 'alex', identity: at('id') };
  const told = await patiently(() => openDevice(board, target));
  await told.waitFor('ready', PATIENCE.ready);
  await told.ssh.close();

  const { ports } = board;
  const claim = { port: ports.ssh, identity: at('id'), enrolment, output: at('devices') };
  const enrolled = await patiently(() => enroll('alex@127.0.0.1', claim));
  // The firewall shuts out who comes six times in half a minute.
  await sleep(31_000);
  const keys = { key: at('recovery.key'), identity: at('id'), port: ports.ssh };
  const knownHosts = join(enrolled.folder, 'known_hosts');
  const text = await patiently(() => recover('alex@127.0.0.1', { ...keys, knownHosts }));
  const bundle = JSON.parse(text);
  sudoPassword = bundle.sudo_passwords.alex;
  adminPassword = bundle.application_admin_password;
  expect(bundle).toMatchObject({ hostname: NAME });
  expect(enrolled.sudoPassword).toBe(sudoPassword);
  await writeFile(at('sudo-password'), `${sudoPassword}\n`, { mode: 0o600 });
  device = await patiently(() => openDevice(board, target, sudoPassword));
  expect(await device.sudo(['id', '-u'])).toBe('0');
  return board;
}

/** What the run-books type, in a shell of the operator's machine. */
const typed = (script: string) => hostRunner.run(['sh', '-ec', script], { cwd: folder, timeout: 900 });
const SSH = `ssh -F devices/${NAME}/ssh_config ${NAME}`;

const tlsKey = async (board: Guest): Promise<string> => {
  const { certificate } = await get(board, 'https', '/login');
  return certificate === undefined ? 'none' : keyDigest(certificate);
};

/** The application needs a while after the device was ready. */
async function visit(board: Guest): Promise<Visitor> {
  const visitor = new Visitor(board);
  await expect
    .poll(async () => (await visitor.page('/login').catch(() => undefined))?.status, {
      timeout: 600_000,
      interval: 5000,
    })
    .toBe(200);
  return visitor;
}

describe('the life of a site', () => {
  it('goes from init-site to a backup, over a lost card, and on with another one', async () => {
    const { image } = await builtImage();
    await hostRunner.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', 'alex', '-f', at('id')]);
    const admin = [`alex=${at('id.pub')}`];
    const flags = { name: 'North gate', admin, newRecipient: at('recovery.key'), unlock: 'card' };
    await initSite(at('site.yaml'), flags);
    const { enrolment } = await personalize(image, at('site.yaml'), at('north.img'));
    await flash({ image: at('north.img'), device: at('card'), create: 8 * GIB, yes: true }, context);
    const first = await putIn(at('card'), enrolment);
    const firstKey = await tlsKey(first);

    // Somebody uses it: a password of their own, and a vehicle.
    const user = await visit(first);
    expect(await user.logIn('admin', adminPassword)).toBe(true);
    await user.send('/profile', '/profile/update', { new_password: CHOSEN });
    await user.send('/vehicles/', '/vehicles/add', { plate_number: PLATE, description: 'kept', authorized: 'on' });
    expect((await user.page('/vehicles/')).body).toContain(PLATE);

    const said = await device.sudo(['amslpr-device', 'backup', 'create'], { timeout: 600 });
    const [name = 'none'] = /^amslpr-\S+/.exec(said) ?? [];
    await device.ssh.close();
    await typed(`${SSH} sudo -k -S amslpr-device backup cat ${name} < sudo-password > ${name}.tar.gz.age`);
    const sealed = await readFile(at(`${name}.tar.gz.age`));
    expect(sealed.toString('latin1', 0, 21)).toBe('age-encryption.org/v1');

    // Nothing of the first card is left.
    await first.stop();
    for (const lost of ['card', 'north.img']) await rm(at(lost));

    const second = await flash(
      { image, device: at('other-card'), create: 8 * GIB, site: at('site.yaml'), yes: true, save: folder },
      context,
    );
    await rm(at('devices'), { recursive: true });
    const board = await putIn(at('other-card'), second.enrolment ?? 'none');
    const before = await visit(board);
    expect(await before.logIn('admin', CHOSEN)).toBe(false);
    expect(await tlsKey(board)).not.toBe(firstKey);
    await device.ssh.close();
    const stream = `(cat sudo-password; age -d -i recovery.key ${name}.tar.gz.age) | ${SSH} sudo -k -S amslpr-device restore`;
    expect((await typed(`${stream} - --tls`)).stdout).toMatch(/^Restored the backup of north-gate/);

    const again = await visit(board);
    expect(await again.logIn('admin', adminPassword)).toBe(false);
    expect(await again.logIn('admin', CHOSEN)).toBe(true);
    expect((await again.page('/vehicles/')).body).toContain(PLATE);
    expect(await tlsKey(board)).toBe(firstKey);
    device = await patiently(() => openDevice(board, { user: 'alex', identity: at('id') }, sudoPassword));
  });
});
