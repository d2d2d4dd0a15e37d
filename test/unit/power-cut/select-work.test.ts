import { describe, expect, it } from 'vitest';
import { epochs, pointName } from '../../power-cut/points.ts';
import { around, chooseUpgrade, chooseWork, epochsOfWork, writesWithin } from '../../power-cut/select-work.ts';
import type { Entry, Logged } from '../../power-cut/write-log.ts';

const boot = { start: 100, sectors: 50 };
const write = (sector: number): Entry => ({ kind: 'write', sector, sectors: 2, at: 0 });
const flush: Entry = { kind: 'flush' };

/** A log whose entries end at 10, 20, 30… */
const logOf = (entries: readonly Entry[]): Logged[] => entries.map((entry, at) => ({ entry, end: 10 * (at + 1) }));

// Epochs: 0 (boot, before the work), 1 (root), 2 (boot), 3 (root), 4 (boot), 5 (boot, after the work).
const log = logOf([
  ...[write(100), flush, write(300), flush, write(149), flush],
  ...[write(150), flush, write(98), write(99), flush, write(120)],
]);
const wanted = { from: 20, to: 110, subsets: 2, whole: 1, seed: '1' };

describe('cuts at a work', () => {
  it('are within it', () => {
    expect(epochsOfWork(epochs(log), wanted)).toEqual([1, 2, 3, 4]);
  });

  it('know what writes to the boot partition: also what only reaches into it', () => {
    const written = log.map((one) => writesWithin(one, boot));
    expect(written.flatMap((own, at) => (own ? [at] : []))).toEqual([0, 4, 9, 11]);
  });

  it('are before, between and after the requests of an epoch', () => {
    expect(around(7, 2).map(pointName)).toEqual(['7', '7.0', '7.1', '8']);
  });

  it('at a kernel upgrade are all looked at where the boot partition was written, and started as a sample', () => {
    const tries = chooseUpgrade(log, boot, { ...wanted, sample: 3 });
    const looked = tries.filter(({ look }) => look).map(({ point }) => pointName(point));
    expect(looked).toEqual(['2', '2.0', '2.1', '3', '4', '4.0', '4.1', '5']);
    const started = tries.filter(({ look, whole }) => !(look || whole)).map(({ point }) => pointName(point));
    expect(started).toHaveLength(3);
    expect(
      started.filter((name) => name.includes('.')),
      'random ones first',
    ).toHaveLength(2);
    expect(tries.filter(({ whole }) => whole)).toHaveLength(1);
  });

  it('are the same for the same seed, without repetition', () => {
    const names = (seed: string) => chooseWork(log, { ...wanted, seed }).map(({ point }) => pointName(point));
    expect(names('1')).toEqual(names('1'));
    expect(names('1')).not.toEqual(names('2'));
    expect(new Set(names('1')).size).toBe(names('1').length);
    expect(names('1')).toHaveLength(5 + 4 * 2);
  });
});
