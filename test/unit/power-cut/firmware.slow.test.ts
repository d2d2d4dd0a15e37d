import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { masterBootRecord } from '../../../src/engine/steps/image.ts';
import { hostRunner } from '../../../src/host/runner.ts';
import { checkedBoot, loadedFrom } from '../../power-cut/firmware.ts';

// What the board's firmware would load from a card, read by mtools from a file system that mkfs.vfat made.

const START = 16384 * 512;
let folder: string;
let card: string;
const env = { MTOOLSRC: '/dev/null', MTOOLS_SKIP_CHECK: '1' };
const put = async (path: string, text: string): Promise<void> => {
  await hostRunner.run(['mcopy', '-o', '-i', `${card}@@${START}`, '-', `::${path}`], { env, input: text });
};

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'amslpr-firmware-'));
  card = join(folder, 'card.raw');
  const file = await open(card, 'w');
  await file.truncate(700 * 1024 * 1024);
  await file.write(masterBootRecord('0a0b0c0d', 8192), 0, 512, 0);
  await file.close();
  await hostRunner.run(['mkfs.vfat', '-F', '32', '-s', '1', '--offset', '16384', card, '524288']);
  await hostRunner.run(['mmd', '-i', `${card}@@${START}`, '::set-a'], { env });
  for (const place of ['', 'set-a/']) {
    await put(`${place}vmlinuz-6.1`, `${place} kernel`);
    await put(`${place}initrd.img-6.1`, `${place} initramfs`);
    await put(`${place}cmdline.txt`, `${place} arguments\n`);
    await put(`${place}bcm2711-rpi-4-b.dtb`, `${place} tree`);
  }
  await put('config.txt', 'kernel=vmlinuz-6.1\ninitramfs initrd.img-6.1\n');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const loaded = () => loadedFrom({ image: card, offset: START }, folder);
const names = async (): Promise<readonly string[]> => (await loaded()).names;

describe('what a board loads', () => {
  it('is what config.txt names, below its prefix when there is a kernel', async () => {
    const root = await loaded();
    expect(root.names).toEqual(['vmlinuz-6.1', 'initrd.img-6.1']);
    await put('config.txt', 'os_prefix=set-a/\nkernel=vmlinuz-6.1\ninitramfs initrd.img-6.1\n');
    const set = await loaded();
    expect(set.names).toEqual(['set-a/vmlinuz-6.1', 'set-a/initrd.img-6.1']);
    expect(set.cmdline).toBe('set-a/ arguments');
    expect(set.digest).not.toBe(root.digest);
    await put('config.txt', 'os_prefix=set-b/\nkernel=vmlinuz-6.1\ninitramfs initrd.img-6.1\n');
    expect(await names()).toEqual(root.names);
  });

  it('is another one when a device tree is', async () => {
    const before = (await loaded()).digest;
    await put('bcm2711-rpi-4-b.dtb', 'half of it');
    expect((await loaded()).digest).not.toBe(before);
  });

  it('is nothing when config.txt is empty, as while the packaged hook writes it', async () => {
    await put('config.txt', '');
    await expect(names()).rejects.toThrow(/kernel8.img/);
  });

  it('does not depend on the check of the file system when all is well, nor on a mark that it is in use', async () => {
    const file = await open(card, 'r+');
    await file.write(Buffer.from([1]), 0, 1, START + 65);
    await file.close();
    const before = await loaded();
    const checked = await checkedBoot(card, join(folder, 'boot.part'));
    expect((await loadedFrom(checked, folder)).digest).toBe(before.digest);
  });
});
