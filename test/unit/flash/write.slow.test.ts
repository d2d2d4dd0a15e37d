import { createHash, randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import type { LogEntry } from '../../../src/core/log.ts';
import type { BlockMap } from '../../../src/flash/bmap.ts';
import { overlaps, type Range, union, without } from '../../../src/flash/ranges.ts';
import type { ImageSource } from '../../../src/flash/source.ts';
import { writeImage } from '../../../src/flash/write.ts';
import { HEAD, planWrite } from '../../../src/flash/write-plan.ts';
import { type Faults, type MemoryTarget, memoryTarget } from '../../helpers/flash-targets.ts';

// These move many megabytes: a busy machine takes more than the usual five seconds.
vi.setConfig({ testTimeout: 60_000 });

const MIB = 1024 * 1024;
const IMAGE = 24 * MIB;
const RANGES: readonly Range[] = [
  { start: 0, length: 4096 },
  { start: HEAD - 8192, length: 3 * MIB },
  { start: 8 * MIB, length: 9 * MIB },
  { start: 20 * MIB, length: 4 * MIB - 512 },
];

function memorySource(image: Uint8Array, sums: boolean, ranges = RANGES): ImageSource {
  const digest = (range: Range): string =>
    createHash('sha256')
      .update(image.subarray(range.start, range.start + range.length))
      .digest('hex');
  const map: BlockMap = {
    imageSize: image.length,
    blockSize: 4096,
    hash: 'sha256',
    ranges: ranges.map((range) => (sums ? { ...range, checksum: digest(range) } : range)),
  };
  return {
    path: 'test.img',
    map,
    origin: 'bmap',
    withReader: (use) => use({ read: async (into, offset) => into.set(image.subarray(offset, offset + into.length)) }),
  };
}

const image = new Uint8Array(randomBytes(IMAGE));

async function run(target: MemoryTarget, options: { source?: ImageSource; zero?: Range[]; log?: LogEntry[] } = {}) {
  const source = options.source ?? memorySource(image, true);
  const plan = planWrite({ map: source.map, targetSize: target.size, zero: options.zero ?? [] });
  return writeImage({ source, target, plan, log: (entry) => options.log?.push(entry) });
}

const faulty = (faults: Faults, size = 64 * MIB): MemoryTarget => memoryTarget(size, faults);
const isBootable = (target: MemoryTarget): boolean => target.bytes[510] === image[510] && target.bytes[0] === image[0];

describe('writing an image', () => {
  it.each([true, false])(
    'puts the mapped ranges there and leaves the others (checksums in the map: %s)',
    async (sums) => {
      const target = faulty({});
      const result = await run(target, { source: memorySource(image, sums) });
      for (const { start, length } of [...RANGES, { start: 0, length: HEAD }]) {
        expect(
          Buffer.compare(target.bytes.subarray(start, start + length), image.subarray(start, start + length)),
        ).toBe(0);
      }
      const between = target.bytes.subarray(18 * MIB, 20 * MIB);
      expect(between.every((byte) => byte === 0xa5)).toBe(true);
      const tail = target.bytes.subarray(target.size - MIB);
      expect(tail.every((byte) => byte === 0)).toBe(true);
      expect(result.bytes).toBeGreaterThan(16 * MIB);
    },
  );

  it('writes what must be zeros', async () => {
    const target = faulty({});
    await run(target, { zero: [{ start: 17 * MIB, length: 2 * MIB }] });
    expect(target.bytes.subarray(17 * MIB, 19 * MIB).every((byte) => byte === 0)).toBe(true);
  });

  it('writes the partition table last', async () => {
    const target = faulty({});
    await run(target);
    expect(target.writes.at(-1)).toEqual([0, 4096]);
    expect(target.writes.at(-2)).toEqual([4096, HEAD - 4096]);
  });

  it('says how far it is', async () => {
    const log: LogEntry[] = [];
    await run(faulty({ slow: 2 }), { log });
    const last = (step: string) => log.filter((entry) => entry.kind === 'progress' && entry.step === step).at(-1);
    expect(last('Write')).toMatchObject({ unit: 'bytes', done: 17 * MIB - 8192 - 512 });
    expect(last('Verify')).toEqual({ ...last('Write'), step: 'Verify' });
    expect(
      log.filter((entry) => entry.kind === 'step-end').map((entry) => entry.kind === 'step-end' && entry.ok),
    ).toEqual([true, true]);
  });

  it('fits a card of exactly its size, and one image smaller than the head', async () => {
    await run(faulty({}, IMAGE));
    const small = new Uint8Array(randomBytes(4096 * 3 + 512));
    const target = faulty({}, 2 * MIB);
    await run(target, { source: memorySource(small, true, [{ start: 0, length: small.length }]) });
    expect(Buffer.compare(target.bytes.subarray(0, small.length), small)).toBe(0);
  });
});

describe('a card that is interrupted', () => {
  it.each([0, 1, 2, 3, 4, 5, 8, 12])('at write %i boots nowhere, and the next flash works', async (pulledAtWrite) => {
    const target = faulty({ pulledAtWrite });
    await expect(run(target)).rejects.toThrow('/dev/test was pulled out');
    expect(isBootable(target)).toBe(false);
    const again = memoryTarget(target.size);
    again.bytes.set(target.bytes);
    await run(again);
    expect(isBootable(again)).toBe(true);
  });

  it.each(['EIO', 'ENXIO', 'ENODEV', 'ENOMEDIUM'])(
    'with %s while it is read back is said to be pulled',
    async (code) => {
      const target = faulty({ failsAtRead: 3, code });
      await expect(run(target)).rejects.toThrow(
        `was pulled out, or it or its reader fails (${code} while reading back`,
      );
      expect(isBootable(target)).toBe(false);
    },
  );
});

describe('a card that lies', () => {
  it.each([10, 16, 23, 32, 33, 40, 48, 63])(
    'about its size, wrapping at %i of 64 MiB, is called a fake',
    async (mib) => {
      const target = faulty({ wrapsAt: mib * MIB });
      await expect(run(target)).rejects.toThrow(/claims 0\.07 GB but has less|does not keep/);
      expect(isBootable(target)).toBe(false);
    },
  );

  it('and wraps inside the image is named with the place', async () => {
    await expect(run(faulty({ wrapsAt: 16 * MIB }))).rejects.toThrow(/has less, at most 0\.0[25] GB/);
  });

  it('and wraps behind the image is named by the markers', async () => {
    await expect(run(faulty({ wrapsAt: 32 * MIB }))).rejects.toThrow('has less, at most 0.03 GB');
  });

  it.each([0, 512, 10 * MIB, 22 * MIB, 25 * MIB, 60 * MIB])(
    'and drops what is behind %i is found',
    async (dropsFrom) => {
      const target = faulty({ dropsFrom });
      await expect(run(target)).rejects.toThrow('writes are dropped');
      expect(isBootable(target)).toBe(false);
    },
  );

  it.each([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])('and drops write %i alone is found', async (dropsWrite) => {
    await expect(run(faulty({ dropsWrite }))).rejects.toThrow('does not keep what is written');
  });

  it('is found when it holds the same image already and has gone read-only', async () => {
    const target = faulty({ dropsFrom: 0 });
    target.bytes.set(image);
    await expect(run(target)).rejects.toThrow('writes are dropped (at 0 MiB');
  });
});

describe('an image that is damaged', () => {
  const damaged = (at: number): ImageSource => {
    const source = memorySource(image, true);
    const bytes = image.slice();
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    return { ...memorySource(bytes, true), map: source.map };
  };

  it('in its partition table is found before anything is written', async () => {
    const target = faulty({});
    await expect(run(target, { source: damaged(100) })).rejects.toThrow('test.img is damaged');
    expect(target.writes).toEqual([]);
  });

  it('further on is blamed on the image, not on the card', async () => {
    const target = faulty({});
    await expect(run(target, { source: damaged(9 * MIB) })).rejects.toThrow('test.img is damaged');
    expect(isBootable(target)).toBe(false);
  });
});

describe('runs of bytes', () => {
  const runs = fc.array(fc.record({ start: fc.nat(200), length: fc.nat(50) }), { maxLength: 8 });
  const members = (list: readonly Range[]): Set<number> =>
    new Set(list.flatMap(({ start, length }) => Array.from({ length }, (_, index) => start + index)));

  it('are subtracted and joined as sets of bytes are', () => {
    fc.assert(
      fc.property(runs, fc.record({ start: fc.nat(200), length: fc.nat(80) }), (taken, range) => {
        const left = [...members([range])].filter((byte) => !members(taken).has(byte));
        expect([...members(without(range, taken))]).toEqual(left);
        expect(members(union(taken))).toEqual(members(taken));
        expect(taken.some((other) => other.length > 0 && range.length > 0 && overlaps(range, other))).toBe(
          [...members([range])].some((byte) => members(taken).has(byte)),
        );
      }),
    );
  });

  it('of a plan never overlap, and never touch a partition that is kept', () => {
    fc.assert(
      fc.property(runs, runs, fc.nat(300), (mapped, zero, keepAt) => {
        const scale = (list: readonly Range[]) =>
          list.map(({ start, length }) => ({ start: start * 65536, length: length * 65536 }));
        const keep = { start: (256 + keepAt) * 65536, length: 20 * 65536 };
        const map: BlockMap = { imageSize: 250 * 65536, blockSize: 4096, hash: 'sha256', ranges: scale(union(mapped)) };
        const plan = planWrite({ map, targetSize: 700 * 65536, zero: scale(zero), keep });
        let end = plan.headSize;
        for (const segment of [...plan.body, ...plan.free].sort((a, b) => a.start - b.start)) {
          expect(segment.start).toBeGreaterThanOrEqual(end);
          expect(overlaps(segment, keep)).toBe(false);
          end = segment.start + segment.length;
        }
      }),
    );
  });
});
