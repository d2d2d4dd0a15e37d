import { execFileSync } from 'node:child_process';
import { mkdtempSync, openSync, readFileSync, readSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { silent } from '../../../src/core/log.ts';
import { flash } from '../../../src/flash/flash.ts';
import { mustBeZero } from '../../../src/flash/must-be-zero.ts';
import { endOf, type Range } from '../../../src/flash/ranges.ts';
import { type ImageReader, openSource } from '../../../src/flash/source.ts';
import { hostRunner } from '../../../src/host/runner.ts';

// These move many megabytes: a busy machine takes more than the usual five seconds.
vi.setConfig({ testTimeout: 60_000 });

const MIB = 1024 * 1024;
const [BOOT, ROOT, SIZE] = [4 * MIB, 44 * MIB, 76 * MIB];
const root = mkdtempSync(join(tmpdir(), 'must-be-zero-'));
const image = join(root, 'card.img');
const env = { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` };
const run = (program: string, args: readonly string[], input = ''): string =>
  execFileSync(program, args, { env, input, stdio: ['pipe', 'pipe', 'ignore'] }).toString();
afterAll(() => rmSync(root, { recursive: true, force: true }));

beforeAll(() => {
  run('truncate', ['-s', String(SIZE), image]);
  run('sfdisk', ['-q', image], `label: dos\nstart=${BOOT / 512},size=81920,type=c\nstart=${ROOT / 512},type=83\n`);
  run('mkfs.vfat', ['-F', '32', '-s', '1', '--offset', String(BOOT / 512), image, '40960']);
  run('mke2fs', ['-q', '-F', '-t', 'ext4', '-E', `offset=${ROOT}`, image, '32M']);
});

/** The image's bytes; what is behind its end reads as zeros. */
function reader(): ImageReader {
  const file = openSync(image, 'r');
  return { read: async (into, offset) => void readSync(file, into.fill(0), 0, into.length, offset) };
}

const covers = (ranges: readonly Range[], start: number, length: number): boolean =>
  ranges.some((range) => range.start <= start && start + length <= endOf(range));

/** What dumpe2fs says about the file system, as offsets in the image. */
function metadata(): { readonly bitmaps: number[]; readonly tables: [number, number][]; readonly journal: number } {
  const fs = join(root, 'root.ext4');
  writeFileSync(fs, readFileSync(image).subarray(ROOT));
  const text = run('dumpe2fs', [fs]);
  const block = Number(/Block size:\s+(\d+)/.exec(text)?.[1]);
  const place = (number: string | undefined): number => ROOT + Number(number) * block;
  const stat = run('debugfs', ['-R', 'stat <8>', fs]);
  return {
    bitmaps: [...text.matchAll(/(?:Block|Inode) bitmap at (\d+)/g)].map((match) => place(match[1])),
    tables: [...text.matchAll(/Inode table at (\d+)-(\d+)/g)].map((match) => [
      place(match[1]),
      place(match[2]) + block,
    ]),
    journal: place(/\(0-\d+\):(\d+)/.exec(stat)?.[1]),
  };
}

describe('what must be zeros on a card although the map leaves it out', () => {
  it('are the tables of FAT, and bitmaps, inode tables and journal of ext4', async () => {
    const found = await mustBeZero(reader(), SIZE, []);
    expect(covers(found, BOOT, 32 * 512 + 2 * 512)).toBe(true);
    const { bitmaps, tables, journal } = metadata();
    expect(bitmaps.length).toBeGreaterThan(1);
    for (const place of bitmaps) expect(covers(found, place, 1024)).toBe(true);
    for (const [start, end] of tables) expect(covers(found, start, end - start)).toBe(true);
    expect(covers(found, journal, 1024 * 1024)).toBe(true);
  });

  it('are not the files, nor what is mapped, nor anything outside the partitions', async () => {
    const all = await mustBeZero(reader(), SIZE, []);
    expect(all.reduce((sum, { length }) => sum + length, 0)).toBeLessThan(SIZE / 2);
    for (const range of all) {
      expect(range.start).toBeGreaterThanOrEqual(BOOT);
      expect(endOf(range)).toBeLessThanOrEqual(SIZE);
    }
    expect(await mustBeZero(reader(), SIZE, all)).toEqual([]);
  });

  it.each([
    ['no partition table', 510, 0],
    ['no FAT', BOOT + 510, 0],
    ['sectors of no size', BOOT + 11, 0],
    ['an ext4 with groups of no blocks', ROOT + 1024 + 0x20, 0],
    ['an ext4 with blocks beyond counting', ROOT + 1024 + 4, 0xff],
  ])('are bounded with %s', async (_, place, value) => {
    const inner = reader();
    const changed: ImageReader = {
      async read(into, offset) {
        await inner.read(into, offset);
        for (let at = place; at < place + 4; at++) {
          if (at >= offset && at < offset + into.length) into[at - offset] = value;
        }
      },
    };
    for (const range of await mustBeZero(changed, SIZE, [])) expect(endOf(range)).toBeLessThanOrEqual(SIZE);
  });

  it('are zeros on a card that was full of something else, and both file systems are whole there', async () => {
    const card = join(root, 'used.img');
    writeFileSync(card, Buffer.alloc(SIZE + 4 * MIB, 0xff));
    run('bmaptool', ['create', '-o', `${image}.bmap`, image]);
    await flash({ image, device: card, yes: true }, { runner: hostRunner, log: silent });
    const bytes = readFileSync(card);
    const { map } = await openSource(image, hostRunner);
    const leftOut = await mustBeZero(reader(), SIZE, map.ranges);
    expect(leftOut.length).toBeGreaterThan(0);
    for (const range of leftOut) {
      expect(bytes.subarray(range.start, endOf(range)).every((byte) => byte === 0)).toBe(true);
    }
    writeFileSync(join(root, 'boot.fat'), bytes.subarray(BOOT, ROOT));
    writeFileSync(join(root, 'root.ext4'), bytes.subarray(ROOT, SIZE));
    run('fsck.vfat', ['-n', join(root, 'boot.fat')]);
    run('e2fsck', ['-fn', join(root, 'root.ext4')]);
  });
});
