import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { readImage } from '../../src/audit/image.ts';
import { SECTOR } from '../../src/audit/mbr.ts';
import { silent } from '../../src/core/log.ts';
import { flash } from '../../src/flash/flash.ts';
import { hostRunner } from '../../src/host/runner.ts';
import type { Board } from '../../src/qemu/board.ts';
import { openBundle } from '../../src/qemu/bundle.ts';
import type { Device, DeviceStatus } from '../../src/qemu/device.ts';
import { ephemeralSite, type UnlockChoice } from '../../src/qemu/ephemeral-site.ts';
import { type GuestOptions, startGuest } from '../../src/qemu/guest.ts';
import { type Drive, drive, identities, PATIENCE, restart } from '../boot/drive.ts';
import { removeSite } from '../helpers/remove-site.ts';
import { builtImage, builtVariant } from '../image/built-image.ts';

// What becomes of a card that gets another site file, a signed one, another board, or a new system around old data.

let folder: string;
let card: Drive | undefined;
let device: Device | undefined;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'amslpr-cards-'));
});
afterEach(async () => {
  await device?.ssh.close();
  await card?.stop();
  [device, card] = [undefined, undefined];
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function boot(image: string, choice: UnlockChoice, hostname: string, more: GuestOptions = {}): Promise<Device> {
  card = await drive(image, choice, hostname, more);
  device = await card.login();
  return device;
}

/** The status once it is `state`, whatever comes before. */
async function becomes(one: Device, state: string): Promise<DeviceStatus> {
  const deadline = Date.now() + PATIENCE.ready * 1000;
  let found = await one.status();
  while (found.state !== state && Date.now() < deadline) {
    await sleep(3000);
    found = await one.status();
  }
  expect(found).toMatchObject({ state });
  return found;
}

/** The card as it is after its power went, kept, and ready for another site file. */
async function pulled(from: { pullCard(): Promise<string> }): Promise<string> {
  const kept = join(folder, `card-${process.hrtime.bigint()}.raw`);
  const raw = await from.pullCard();
  await rename(raw, kept);
  await removeSite(kept);
  return kept;
}

/** Boots a card until STATUS.TXT matches, without logging in; gives the card, and its report. */
async function untilStatus(image: string, status: RegExp, options: GuestOptions) {
  await using guest = await startGuest(image, options);
  const deadline = Date.now() + PATIENCE.ready * 1000;
  let text = '';
  while (!status.test(text) && Date.now() < deadline) {
    await sleep(5000);
    text = (await guest.bootFile('/STATUS.TXT'))?.toString() ?? '';
  }
  expect(text).toMatch(status);
  const report = (await guest.bootFile('/report.json'))?.toString() ?? '';
  return { report, raw: await pulled(guest) };
}

const fingerprint = (report: string): string => /SHA256:[\w+/]{43}/.exec(report)?.[0] ?? 'none';

it('a device that nobody has logged in to is provisioned again by another site file, and keeps its host key', async () => {
  const own = await mkdtemp(join(folder, 'site-'));
  const { site } = await ephemeralSite(own, { unlock: 'card', admin: 'former' }, 'former');
  const before = await untilStatus((await builtImage()).image, /ready/, { site });
  const now = await boot(before.raw, { unlock: 'card', admin: 'latter' }, 'latter');
  await now.waitFor('ready', PATIENCE.ready);
  expect(await now.sudo(['hostname'])).toBe('latter');
  expect(await now.sudo(['getent', 'passwd', 'former'], { okCodes: [2] })).toBe('');
  const report = (await card?.guest.bootFile('/report.json'))?.toString() ?? '';
  expect(fingerprint(before.report)).toMatch(/^SHA256:/);
  expect(fingerprint(report)).toBe(fingerprint(before.report));
});

it('an image with signers takes no site file but a signed one', async () => {
  const key = join(folder, 'signer');
  await hostRunner.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', key]);
  const [, word = ''] = (await readFile(`${key}.pub`, 'utf8')).split(' ');
  const config = join(folder, 'signed.yaml');
  const usual = await readFile('config/amslpr.yaml', 'utf8');
  await writeFile(config, usual.replace(/^ {2}signers: \[\]$/m, `  signers:\n    - ${word}`));
  const { image } = await builtVariant(config, 'signed');
  const own = await mkdtemp(join(folder, 'site-'));
  const { site } = await ephemeralSite(own, { unlock: 'card' }, 'unsigned');
  const before = await untilStatus(image, /waiting[\s\S]*sign/, { site });
  expect(before.report.replaceAll('\0', '').trim()).not.toContain('SHA256:');
  const now = await boot(before.raw, { unlock: 'card' }, 'signed', { sign: key });
  await now.waitFor('ready', PATIENCE.ready);
  expect(await now.sudo(['hostname'])).toBe('signed');
});

describe('a card in another board', () => {
  const board: Board = {};
  const [OWN, REPAIRED, TWIN] = ['10000000aaaaaaaa', '10000000bbbbbbbb', '10000000cccccccc'];

  it('stays closed until somebody says what happened', async () => {
    board.serial = OWN;
    let now = await boot((await builtImage()).image, { unlock: 'card' }, 'board', { board });
    await now.waitFor('ready', PATIENCE.ready);
    if (card === undefined) return;

    board.serial = REPAIRED;
    now = device = await restart(card, now);
    const { message } = await becomes(now, 'waiting');
    expect(message).toMatch(new RegExp(`board ${OWN}.*board ${REPAIRED}`));
    expect((await now.ssh.run(['findmnt', '/data'], { okCodes: [0, 1] })).code).toBe(1);
    expect(await now.sudo(['systemctl', 'is-active', 'nginx', 'amslpr', 'ssh'], { okCodes: [0, 3] })).toBe(
      'inactive\ninactive\nactive',
    );
    expect(await now.sudo(['amslpr-device', 'adopt-board'])).toMatch(/is the one of the card/);
    await becomes(now, 'ready');

    // A board without a serial number is another one too; back in its own the card opens by itself.
    delete board.serial;
    now = device = await restart(card, now);
    expect((await becomes(now, 'waiting')).message).toMatch(/board unknown/);
    board.serial = REPAIRED;
    now = device = await restart(card, now);
    await becomes(now, 'ready');
    const first = await identities(card, now);

    // A copy: everything by which devices are told apart is new, and the data is there.
    await now.sudo(['sh', '-c', 'echo kept > /var/lib/amslpr/data/marker']);
    const pushKey = '/etc/amslpr/secrets/backup-push-key';
    await now.sudo(['sh', '-c', `echo 'of the first card' > ${pushKey}`]);
    const { luksRecoveryKey } = await openBundle(card.guest, card.site.identity);
    board.serial = TWIN;
    now = device = await restart(card, now);
    await becomes(now, 'waiting');
    const starts = card.guest.starts();
    const input = `${luksRecoveryKey}\n`;
    await now.sudo(['amslpr-device', 'adopt-board', '--clone'], { input, okCodes: [0, 255], timeout: 300 });
    await now.ssh.close();
    await rm(join(card.guest.folder, 'known_hosts'));
    await card.guest.waitForRestart(starts, PATIENCE.ssh);
    now = device = await card.login();
    await becomes(now, 'waiting');
    await now.ssh.run(['amslpr-device', 'unlock'], { input, timeout: 600 });
    await becomes(now, 'ready');
    const twin = await identities(card, now);
    for (const name of ['host key', 'machine id', 'TLS key', 'sudo password']) {
      expect(twin[name], name).not.toBe(first[name]);
    }
    for (const name of ['volume key', 'Fernet key', 'web account']) expect(twin[name], name).toBe(first[name]);
    expect(await now.sudo(['ls', pushKey], { okCodes: [2] })).toBe('');
    expect(await now.sudo(['cat', '/var/lib/amslpr/data/marker'])).toBe('kept');
    expect((await openBundle(card.guest, card.site.identity)).luksRecoveryKey).not.toBe(luksRecoveryKey);
  });
});

/** SHA-256 of a card from where its data begins, in whole steps of 4 MiB, to its end. */
async function dataOf(raw: string): Promise<string> {
  const { disk } = await readImage(raw);
  const start = disk?.partitions.find(({ slot }) => slot === 4)?.start ?? 0;
  expect(start).toBeGreaterThan(0);
  const script = 'dd if="$1" bs=4M skip="$2" status=none | sha256sum';
  const argv = ['sh', '-c', script, 'sh', raw, String((start * SECTOR) / (4 * 1024 * 1024))];
  return (await hostRunner.run(argv, { timeout: 600 })).stdout;
}

it('a new system waits before the data of an earlier device, adopts it with its recovery key, or erases it', async () => {
  const { image } = await builtImage();
  const old = await boot(image, { unlock: 'card' }, 'earlier');
  await old.waitFor('ready', PATIENCE.ready);
  if (card === undefined) return;
  await old.sudo(['sh', '-c', 'echo kept > /var/lib/amslpr/data/marker; sync']);
  const { luksRecoveryKey } = await openBundle(card.guest, card.site.identity);
  await old.ssh.close();
  const raw = await pulled(card.guest);
  await card.stop();

  const context = { runner: hostRunner, log: silent };
  await expect(flash({ image, device: raw, yes: true, save: folder }, context)).rejects.toThrow(/earlier|data/);
  await flash({ image, device: raw, yes: true, data: 'keep', save: folder }, context);

  // Nobody logs in meanwhile: after that the site file on the card would decide nothing any more.
  const data = await dataOf(raw);
  const own = await mkdtemp(join(folder, 'site-'));
  const { site } = await ephemeralSite(own, { unlock: 'card' }, 'later');
  const kept = await untilStatus(raw, /waiting at partitions\n.*encrypted data of earlier \(/, { site });
  expect(await dataOf(kept.raw)).toBe(data);

  const adopting = {
    unlock: 'card' as const,
    edit: (text: string) => text.replace('existing: keep', 'existing: adopt'),
  };
  const now = await boot(kept.raw, adopting, 'later');
  expect((await becomes(now, 'waiting')).step).toBe('data');
  await now.ssh.run(['amslpr-device', 'unlock'], { input: `${luksRecoveryKey}\n`, timeout: 600 });
  await becomes(now, 'ready');
  expect(await now.sudo(['cat', '/var/lib/amslpr/data/marker'])).toBe('kept');
  expect(await now.sudo(['hostname'])).toBe('later');
  const adopted = await identities(card, now);
  const { luksRecoveryKey: later } = await openBundle(card.guest, card.site.identity);

  await now.ssh.close();
  const used = await pulled(card.guest);
  await card.stop();
  await flash({ image, device: used, yes: true, data: 'keep', save: folder }, context);
  const erasing = {
    unlock: 'card' as const,
    edit: (text: string) => text.replace('existing: keep', 'existing: erase'),
  };
  const last = await boot(used, erasing, 'last');
  await becomes(last, 'ready');
  expect(await last.sudo(['ls', '/var/lib/amslpr/data/marker'], { okCodes: [2] })).toBe('');
  const { container, 'volume key': volume } = await identities(card, last);
  expect(container).not.toBe(adopted['container']);
  expect(volume).not.toBe(adopted['volume key']);
  const test = 'cryptsetup open --test-passphrase --key-file - /dev/disk/by-partuuid/*-04';
  await last.sudo(['sh', '-c', test], { input: later, okCodes: [2], timeout: 300 });
});
