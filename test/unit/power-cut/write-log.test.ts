import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openCard } from '../../power-cut/card.ts';
import { chooser, epochs, generator } from '../../power-cut/points.ts';
import { readWriteLog } from '../../power-cut/write-log.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'amslpr-log-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function header(sector: number, sectors: number, flags: number): Buffer {
  const bytes = Buffer.alloc(512);
  for (const [at, value] of [sector, sectors, flags].entries()) bytes.writeBigUInt64LE(BigInt(value), at * 8);
  return bytes;
}

function superblock(): Buffer {
  const bytes = Buffer.alloc(512);
  bytes.writeBigUInt64LE(0x6a736677736872n);
  bytes.writeBigUInt64LE(1n, 8);
  // The count is written now and then only: it says nothing here.
  bytes.writeUInt32LE(512, 24);
  return bytes;
}

const fill = (letter: string, sectors: number): Buffer => Buffer.alloc(512 * sectors, letter);

/** Two sectors, a flush, one that must be on the card at once, a discard, and one that is not flushed. */
const sample = (): Buffer =>
  Buffer.concat([
    ...[superblock(), header(4, 2, 0), fill('a', 2), header(0, 0, 1), header(5, 1, 2), fill('b', 1)],
    ...[header(4, 1, 4), header(8, 2, 0), Buffer.concat([fill('c', 1), fill('d', 1)])],
  ]);

async function written(bytes: Buffer): Promise<string> {
  const path = join(folder, `${process.hrtime.bigint()}.log`);
  await writeFile(path, bytes);
  return path;
}

test('a log is read to its end, by what stands there', async () => {
  const log = await readWriteLog(await written(sample()));
  expect(log.map(({ entry }) => entry.kind)).toEqual(['write', 'flush', 'write', 'flush', 'discard', 'write']);
  expect(log.at(-1)?.end).toBe(sample().length);
  expect(epochs(log).map((part) => part.length)).toEqual([2, 2, 2]);
});

test('a log that goes on is read from where it was known', async () => {
  const path = await written(sample());
  const log = await readWriteLog(path);
  for (const at of [1, 3, 4]) expect(await readWriteLog(path, log[at]?.end)).toEqual(log.slice(at + 1));
  expect(await readWriteLog(path, log.at(-1)?.end)).toEqual([]);
});

test('a guest that never flushed has written nothing that counts: the log has no superblock yet', async () => {
  const never = Buffer.concat([Buffer.alloc(512), header(4, 1, 0), fill('a', 1)]);
  expect(await readWriteLog(await written(never))).toEqual([]);
});

test('an entry that was cut off does not count, nor do the zeros of a longer file', async () => {
  const cut = await readWriteLog(await written(sample().subarray(0, -512)));
  expect(cut.map(({ entry }) => entry.kind)).toEqual(['write', 'flush', 'write', 'flush', 'discard']);
  const padded = await readWriteLog(await written(Buffer.concat([sample(), Buffer.alloc(2048)])));
  expect(padded).toHaveLength(6);
});

test('another file, and an entry that makes no sense, are refused', async () => {
  await expect(readWriteLog(await written(Buffer.alloc(4096, 'x')))).rejects.toThrow('no log of writes');
  const strange = Buffer.concat([superblock(), header(0, 1, 64), fill('x', 1)]);
  await expect(readWriteLog(await written(strange))).rejects.toThrow('flags 64');
});

test('a card follows the log, names its states, and goes back', async () => {
  const path = await written(Buffer.alloc(16 * 512));
  const logPath = await written(sample());
  await using card = await openCard(path);
  await using log = await open(logPath, 'r');
  const entries = (await readWriteLog(logPath)).map(({ entry }) => entry);
  const empty = card.state();
  const back = card.remember();
  const states: string[] = [];
  for (const entry of entries) {
    await card.apply(entry, log);
    states.push(card.state());
  }
  const bytes = await readFile(path);
  expect(['a', 'b', 'c', 'd'].map((letter) => bytes.indexOf(letter) / 512)).toEqual([-1 / 512, 5, 8, 9]);
  // A flush changes nothing; all others do.
  expect(new Set(states).size).toBe(4);
  await back();
  expect(card.state()).toBe(empty);
  expect((await readFile(path)).equals(Buffer.alloc(16 * 512))).toBe(true);
});

test('a state does not depend on the way to it', async () => {
  const logPath = await written(sample());
  await using log = await open(logPath, 'r');
  const entries = (await readWriteLog(logPath)).map(({ entry }) => entry);
  const after = async (order: readonly number[]): Promise<string> => {
    await using card = await openCard(await written(Buffer.alloc(16 * 512)));
    for (const at of order) {
      const entry = entries[at];
      if (entry !== undefined) await card.apply(entry, log);
    }
    return card.state();
  };
  expect(await after([0, 5])).toBe(await after([5, 0]));
  expect(await after([0, 5])).not.toBe(await after([0]));
  expect(await after([0, 2])).not.toBe(await after([2, 0]));
});

test('a random part of a write is on the card, sector by sector', async () => {
  const path = await written(Buffer.alloc(16 * 512));
  const logPath = await written(sample());
  await using card = await openCard(path);
  await using log = await open(logPath, 'r');
  const last = (await readWriteLog(logPath)).at(-1)?.entry;
  if (last === undefined) throw new Error('no entry');
  await card.apply(last, log, (sector) => sector === 1);
  const bytes = await readFile(path);
  expect([bytes.indexOf('c'), bytes.indexOf('d')]).toEqual([-1, 9 * 512]);
});

test('choices are the same for a seed, others for another, and not all alike', () => {
  const entry = { kind: 'write', sector: 0, sectors: 64, at: 0 } as const;
  const drawn = (seed: string, subset: number): string => {
    const keep = chooser(seed, { flush: 3, subset })(entry);
    return Array.from({ length: 64 }, (_, sector) => (keep?.(sector) ? '1' : '0')).join('');
  };
  expect(drawn('a', 0)).toBe(drawn('a', 0));
  expect(new Set(Array.from({ length: 20 }, (_, subset) => drawn('a', subset))).size).toBeGreaterThan(10);
  expect(drawn('a', 2)).not.toBe(drawn('b', 2));
  const next = generator('x');
  const numbers = Array.from({ length: 1000 }, next);
  expect(Math.min(...numbers)).toBeLessThan(0.01);
  expect(Math.max(...numbers)).toBeGreaterThan(0.99);
  expect(Math.max(...numbers)).toBeLessThan(1);
});
