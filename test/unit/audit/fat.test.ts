import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { memorySource } from '../../../src/audit/bytes.ts';
import { FatError, readFat } from '../../../src/audit/fat.ts';
import { makeFat32 } from './fat-image.ts';

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const big = Uint8Array.from({ length: 3000 }, (_, index) => index % 251);
const good = makeFat32([
  { path: '/CMDLINE.TXT', content: bytesOf('console=tty1\n') },
  { path: '/EMPTY', content: new Uint8Array() },
  { path: '/overlays/A long name, with spaces and ä.dtbo', content: big },
  { path: '/overlays/disable-bt.dtbo', content: bytesOf('x') },
]);

async function list(image: Uint8Array): Promise<[path: string, content: string | Uint8Array][]> {
  const found: [string, string | Uint8Array][] = [];
  for await (const entry of readFat(memorySource(image))) {
    if (entry.type === 'directory') {
      found.push([entry.path, 'folder']);
      continue;
    }
    const parts: Uint8Array[] = [];
    for await (const part of entry.read()) parts.push(part);
    found.push([entry.path, Uint8Array.from(Buffer.concat(parts))]);
  }
  return found;
}

describe('readFat', () => {
  it('reads short and long names, folders and chains', async () => {
    expect(await list(good)).toEqual([
      ['/CMDLINE.TXT', bytesOf('console=tty1\n')],
      ['/EMPTY', new Uint8Array()],
      ['/overlays', 'folder'],
      ['/overlays/A long name, with spaces and ä.dtbo', big],
      ['/overlays/disable-bt.dtbo', bytesOf('x')],
    ]);
  });

  it('takes times as UTC', async () => {
    for await (const entry of readFat(memorySource(good))) {
      expect(entry.mtime).toBe(Date.UTC(2026, 0, 2, 3, 4, 6) / 1000);
    }
  });

  const fatAt = 32 * 512;
  const change = (edit: (view: DataView) => void): Uint8Array => {
    const bytes = good.slice();
    edit(new DataView(bytes.buffer));
    return bytes;
  };
  it.each<[string, Uint8Array, RegExp]>([
    ['no boot sector', new Uint8Array(4096), /no FAT boot sector/],
    ['a short partition', new Uint8Array(100), /100 bytes/],
    ['odd sectors', change((view) => view.setUint16(11, 700, true)), /sectors of 700 bytes/],
    ['a bigger file system than the partition', good.slice(0, good.length - 512), /bytes in a partition of/],
    ['a root folder in circles', change((view) => view.setUint32(fatAt + 8, 2, true)), /shares cluster 2/],
    ['a chain out of the data', change((view) => view.setUint32(fatAt + 8, 99999, true)), /leads to cluster 99999/],
  ])('refuses %s', async (_, bytes, reason) => {
    await expect(list(bytes)).rejects.toThrow(reason);
  });

  it('gives files or a FatError for damaged file systems', async () => {
    // Where something is: boot sector, the start of the table, the folders and files.
    const data = fatAt + Math.ceil(((70000 + 2) * 4) / 512) * 512;
    const place = fc.oneof(
      fc.nat(63),
      fc.integer({ min: fatAt, max: fatAt + 80 }),
      fc.integer({ min: data, max: data + 6000 }),
    );
    const flips = fc.array(fc.tuple(place, fc.nat(255)), { minLength: 1, maxLength: 6 });
    const scratch = good.slice();
    await fc.assert(
      fc.asyncProperty(flips, async (changes) => {
        for (const [at, value] of changes) scratch[at] = value;
        try {
          await list(scratch);
        } catch (error) {
          expect(error).toSatisfy((thrown) => thrown instanceof FatError || thrown instanceof RangeError);
        } finally {
          for (const [at] of changes) scratch[at] = good[at] ?? 0;
        }
      }),
      { numRuns: 1000 },
    );
  }, 60_000);
});
