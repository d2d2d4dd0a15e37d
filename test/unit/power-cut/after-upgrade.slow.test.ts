import { mkdir, mkdtemp, open, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { masterBootRecord } from '../../../src/engine/steps/image.ts';
import { hostRunner } from '../../../src/host/runner.ts';
import { afterUpgrade } from '../../power-cut/after-upgrade.ts';
import { loadedFrom } from '../../power-cut/firmware.ts';
import { nothingToDo } from '../../power-cut/work.ts';

// What is said of cards that a kernel upgrade wrote to: a new set of boot files, and beside it the one before.

const START = 16384 * 512;
const IMAGE = 'kernel=vmlinuz-6.1\ninitramfs initrd.img-6.1\n';
const NEWER = 'os_prefix=set-a/\nkernel=vmlinuz-6.2\ninitramfs initrd.img-6.2\n';
const env = { MTOOLSRC: '/dev/null', MTOOLS_SKIP_CHECK: '1' };
let folder: string;
/** A good card, and a copy of it for each test. */
let base: string;
let card: string;
let starts: Map<string, string>;

const drive = (): string => `${card}@@${START}`;
const put = async (path: string, text: string): Promise<void> => {
  await hostRunner.run(['mcopy', '-o', '-i', drive(), '-', `::${path}`], { env, input: text });
};
const take = (path: string) => hostRunner.run(['mdel', '-i', drive(), `::${path}`], { env });
const digest = async (): Promise<string> => (await loadedFrom({ image: card, offset: START }, folder)).digest;
const look = (): Promise<string[]> => afterUpgrade(folder, nothingToDo, starts).look(card, folder);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'amslpr-after-upgrade-'));
  base = join(folder, 'base.raw');
  card = base;
  const file = await open(card, 'w');
  await file.truncate(700 * 1024 * 1024);
  await file.write(masterBootRecord('0a0b0c0d', 8192), 0, 512, 0);
  await file.close();
  await hostRunner.run(['mkfs.vfat', '-F', '32', '-s', '1', '--offset', '16384', card, '524288']);
  for (const [place, release] of [
    ['', '6.1'],
    ['set-a', '6.2'],
  ] as const) {
    const files = join(folder, 'files', place);
    await mkdir(files, { recursive: true });
    await writeFile(join(files, `vmlinuz-${release}`), `kernel ${release}`);
    await writeFile(join(files, `initrd.img-${release}`), `initramfs ${release}`);
    await writeFile(join(files, 'cmdline.txt'), 'arguments\n');
    await writeFile(join(files, 'bcm2711-rpi-4-b.dtb'), `tree ${release}`);
  }
  await writeFile(join(folder, 'files/config.txt'), IMAGE);
  await writeFile(join(folder, 'files/set-a/previous.txt'), IMAGE);
  const names = (await readdir(join(folder, 'files'))).map((name) => join(folder, 'files', name));
  await hostRunner.run(['mcopy', '-s', '-i', drive(), ...names, '::'], { env });
  const old = await digest();
  await put('config.txt', NEWER);
  starts = new Map([
    [old, '6.1'],
    [await digest(), '6.2'],
  ]);
  card = join(folder, 'card.raw');
}, 60_000);
beforeEach(async () => {
  await hostRunner.run(['cp', '--reflink=auto', base, card]);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('a card with a newer set of boot files', () => {
  it('is good with the whole set before it', async () => {
    expect(await look()).toEqual([]);
  });

  it.each([
    ['a file of the set before is half there', () => put('initrd.img-6.1', 'half'), /is not whole, but vmlinuz-6.1/],
    ['its kernel is gone', () => take('vmlinuz-6.1'), /the set before cannot be started/],
    ['nothing says how it is started', () => take('set-a/previous.txt'), /the set before cannot be started/],
    ['what says so names the new one', () => put('set-a/previous.txt', NEWER), /is not whole, but set-a\/vmlinuz-6.2/],
  ])('is bad when %s', async (_, change, said) => {
    await change();
    expect(await look()).toEqual([expect.stringMatching(said)]);
  });

  it('needs none before it while the old one is named', async () => {
    await put('config.txt', IMAGE);
    await take('set-a/previous.txt');
    expect(await look()).toEqual([]);
  });
});
