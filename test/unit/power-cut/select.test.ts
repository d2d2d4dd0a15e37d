import { describe, expect, it } from 'vitest';
import { pointName } from '../../power-cut/points.ts';
import { choose } from '../../power-cut/select.ts';
import type { Logged } from '../../power-cut/write-log.ts';

// Forty flushes, ten in each of four steps; the card that was never started is one more point of the first.
const log: Logged[] = Array.from({ length: 40 }, (_, at) => ({ entry: { kind: 'flush' }, end: 10 * (at + 1) }));
const marks = ['one', 'two', 'three', 'four'].map((step, at) => ({ step, logBytes: 100 * at + 5, seconds: at }));
const wanted = { subsets: 1, whole: 5, seed: '1' };
const names = (more: Partial<Parameters<typeof choose>[2]> = {}): string[] =>
  choose(log, { marks }, { ...wanted, ...more }).map(({ point }) => pointName(point));

describe('cuts of a first boot', () => {
  it('are each flush and one random subset after each, once', () => {
    const all = names();
    const every = Array.from({ length: 41 }, (_, flush) => [`${flush}`, `${flush}.0`]).flat();
    expect([...all].sort()).toEqual(every.sort());
  });

  it('run the whole image at some flushes, spread over all, in the place of a masked start', () => {
    const whole = choose(log, { marks }, wanted).filter((one) => one.whole);
    const flushes = whole.map(({ point }) => point.flush).sort((a, b) => a - b);
    expect(flushes).toEqual([4, 12, 20, 28, 36]);
    expect(whole.every(({ point }) => point.subset === undefined)).toBe(true);
  });

  it('begin with the edges of all steps', () => {
    expect(names().slice(0, 10)).toEqual(['0', '1', '10', '11', '20', '21', '30', '31', '40', expect.any(String)]);
  });

  it('come first of every step in a sample, and whole starts beside it', () => {
    const some = choose(log, { marks }, { ...wanted, sample: 5, whole: 1 });
    expect(some.filter((one) => !one.whole).map(({ point }) => pointName(point))).toEqual(['0', '1', '11', '21', '31']);
    expect(some.filter((one) => one.whole).map(({ point }) => pointName(point))).toEqual(['20']);
  });

  it('are in the same order for the same seed, and in another one for another', () => {
    expect(names()).toEqual(names());
    expect(names({ seed: '2' })).not.toEqual(names());
    expect(names({ seed: '2' }).sort()).toEqual(names().sort());
  });
});
