import { promisify } from 'node:util';
import { gunzip, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CpioError, parseCpio, readInitramfs } from '../../../src/audit/cpio.ts';

function record(name: string, content: Uint8Array, mode = 0o100644): Uint8Array {
  const field = (value: number) => value.toString(16).padStart(8, '0').toUpperCase();
  const nameBytes = Buffer.from(`${name}\0`);
  const numbers = [1, mode, 0, 0, 1, 0, content.length, 0, 0, 0, 0, nameBytes.length, 0];
  const header = Buffer.from(`070701${numbers.map(field).join('')}`);
  const pad = (bytes: Uint8Array) => Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
  return Buffer.concat([pad(Buffer.concat([header, nameBytes])), pad(content)]);
}
const archive = (...records: Uint8Array[]): Uint8Array =>
  Buffer.concat([...records, record('TRAILER!!!', new Uint8Array(), 0)]);
const elf = Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
const unpack = async (_: string, data: Uint8Array): Promise<Uint8Array> => promisify(gunzip)(data);

describe('readInitramfs', () => {
  it('reads archives one after the other, the last one compressed', async () => {
    const early = archive(record('kernel/microcode.bin', Buffer.from('abc')));
    const main = archive(record('bin', new Uint8Array(), 0o40755), record('bin/sh', elf, 0o100755));
    const bytes = Buffer.concat([early, Buffer.alloc(512), gzipSync(main)]);
    const files = await readInitramfs(bytes, unpack);
    expect(files.map(({ path, mode, size }) => [path, mode, size])).toEqual([
      ['kernel/microcode.bin', 0o644, 3],
      ['bin', 0o755, 0],
      ['bin/sh', 0o755, 7],
    ]);
    expect(Buffer.from(files[2]?.head ?? [])).toEqual(elf);
  });

  it.each<[string, Uint8Array, RegExp]>([
    ['nothing', new Uint8Array(), /holds no archive/],
    ['zeros', new Uint8Array(100), /holds no archive/],
    ['a truncated archive', archive(record('a', elf)).subarray(0, 130), /ends early|reaches over/],
    ['other data', Buffer.from('hello'), /unknown data/],
    ['lz4', Buffer.from([0x02, 0x21, 0x4c, 0x18]), /lz4/],
    ['gzip without an archive', gzipSync('hello'), /no cpio archive/],
    ['compression in compression', gzipSync(Buffer.concat([archive(), gzipSync(archive())])), /within compressed/],
  ])('refuses %s', async (_, bytes, reason) => {
    await expect(readInitramfs(bytes, unpack)).rejects.toThrow(reason);
  });

  it('gives files or a CpioError for damaged archives', () => {
    const good = archive(record('a', elf), record('b/c', Buffer.alloc(100)));
    const flips = fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 8 });
    fc.assert(
      fc.property(flips, fc.nat(good.length), (changes, length) => {
        const bytes = Buffer.from(good);
        for (const [at, value] of changes) bytes[at] = value;
        try {
          const { end } = parseCpio(bytes.subarray(0, length));
          return end <= length;
        } catch (error) {
          return error instanceof CpioError;
        }
      }),
      { numRuns: 2000 },
    );
  });
});
