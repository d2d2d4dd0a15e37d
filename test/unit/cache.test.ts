import { describe, expect, it } from 'vitest';
import type { CacheEntry } from '../../src/cache/entries.ts';
import { choosePruned, parseAge, parseSize } from '../../src/cache/prune.ts';
import { ageText, cacheTable, prunedText } from '../../src/cli/cache-table.ts';

const DAY = 86_400_000;
const now = new Date('2026-03-01T12:00:00Z');
const entry = (name: string, kind: CacheEntry['kind'], megabytes: number, days: number): CacheEntry => ({
  ...{ name, kind, path: `/c/${name}`, bytes: megabytes * 1e6, image: 'amslpr' },
  used: new Date(now.getTime() - days * DAY),
});
const entries = [
  entry('files-new', 'layer', 10, 1),
  entry('files-old', 'layer', 20, 40),
  entry('build-1', 'toolbox', 400, 3),
  entry('a.deb', 'package', 50, 35),
  entry('b.deb', 'package', 50, 2),
];
const names = (chosen: readonly CacheEntry[]): string[] => chosen.map(({ name }) => name);

describe('what is pruned', () => {
  it('by age: what was not used for longer', () => {
    expect(names(choosePruned(entries, { olderThan: 30 * DAY }, now))).toEqual(['files-old', 'a.deb']);
    expect(names(choosePruned(entries, { olderThan: 0 }, now))).toHaveLength(5);
  });
  it('by size: what was used longest ago, and no more than is needed', () => {
    expect(names(choosePruned(entries, { maxSize: 480e6 }, now))).toEqual(['files-old', 'a.deb']);
    expect(names(choosePruned(entries, { maxSize: 530e6 }, now))).toEqual([]);
    expect(names(choosePruned(entries, { maxSize: 0 }, now))).toHaveLength(5);
  });
  it('by both: age first', () => {
    expect(names(choosePruned(entries, { olderThan: 30 * DAY, maxSize: 100e6 }, now))).toEqual([
      'files-old',
      'a.deb',
      'build-1',
    ]);
  });
});

it('ages and sizes are read as people write them', () => {
  expect(['12h', '30d', '2w'].map(parseAge)).toEqual([DAY / 2, 30 * DAY, 14 * DAY]);
  expect(['800M', '1.5g', '2GB', '1k'].map(parseSize)).toEqual([8e8, 1.5e9, 2e9, 1e3]);
  expect(['', '5', 'd', '1y', '-1d'].map(parseAge)).toEqual(Array(5).fill(undefined));
  expect(['', '5', '5X', '1.G'].map(parseSize)).toEqual(Array(4).fill(undefined));
});

it('the table has sums by kind, ages, and what would go', () => {
  const text = cacheTable('/c', entries, choosePruned(entries, { olderThan: 30 * DAY }, now), now, (_, words) => words);
  expect(text).toMatch(/^layers \(2\) +30\.0 MB$/m);
  expect(text).toMatch(/^ {2}files-old +20\.0 MB +40 d {2}would be dropped$/m);
  expect(text).toMatch(/^ {2}files-new +10\.0 MB +24 h {2}amslpr$/m);
  expect(text).toMatch(/^package files \(2\) +100 MB$/m);
  expect(text).toMatch(/^`cache prune` would drop 2 entries, 70\.0 MB\.$/m);
  expect(prunedText(entries.slice(2))).toBe('1 toolboxes, 400 MB: build-1\n2 package files, 100 MB\n');
  expect(ageText(new Date(now.getTime() - 5 * 60_000), now)).toBe('5 min');
});
