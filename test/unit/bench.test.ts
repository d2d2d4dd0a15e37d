import { expect, it } from 'vitest';
import { alternate, percentile, timing } from '../../bench/measure.ts';
import { table } from '../../bench/report.ts';
import { isMet } from '../../bench/row.ts';

it('takes the middle of the rounds, and how far they lie apart', () => {
  expect(timing([3, 1, 2])).toEqual({ seconds: [3, 1, 2], median: 2, spread: 1 });
  expect(timing([4, 1]).median).toBe(2.5);
});

it('takes what nine of ten values do not exceed', () => {
  expect(percentile([10, 1, 2, 3, 4, 5, 6, 7, 8, 9], 0.9)).toBe(9);
});

it('runs the arms of a row in turn, and takes their own time where they give it', async () => {
  const order: string[] = [];
  const arm = (name: string, own?: number) => async () => {
    order.push(name);
    return own;
  };
  const arms = await alternate({ a: arm('a', 7), b: arm('b') }, 2, () => undefined);
  expect(order).toEqual(['a', 'b', 'a', 'b']);
  expect(arms['a']?.median).toBe(7);
  expect(arms['b']?.median).toBeLessThan(1);
});

it('tells whether a goal is met, and nothing when there is no figure', () => {
  const figure = { name: 'ratio', unit: 'x' } as const;
  expect(isMet({ ...figure, value: 1.5, goal: { atMost: 1.5 } })).toBe(true);
  expect(isMet({ ...figure, value: 1.51, goal: { atMost: 1.5 } })).toBe(false);
  expect(isMet({ ...figure, value: 6, goal: { atLeast: 6 } })).toBe(true);
  expect(isMet({ ...figure, value: 5.9, goal: { atLeast: 6 } })).toBe(false);
  expect(isMet({ ...figure, goal: { atLeast: 6 } })).toBeUndefined();
  expect(isMet({ ...figure, value: 1 })).toBeUndefined();
});

it('prints a row with arms, figures and what has to be known', () => {
  const row = {
    row: 'packages',
    work: 'the packages',
    finished: '2026-01-01T00:00:00.000Z',
    load: [0.5, 2] as const,
    rounds: 3,
    arms: { dispatch: timing([10, 12, 11]) },
    figures: [
      { name: 'ratio', value: 7.125, unit: 'x', goal: { atLeast: 6 } },
      { name: 'other', unit: 'x' },
    ] as const,
    notes: ['a note'],
  };
  const circumstances = { host: 'a host', kernel: '6.12', versions: { node: '20' }, commit: 'abc', quick: false };
  const text = table({ circumstances, rows: [row] });
  expect(text).toContain('a host; kernel 6.12; node 20.');
  expect(text).toContain(
    '| the packages | dispatch 11.0 s (±9 %) | ratio: 7.13 x (goal: at least 6) ✓<br>other: not in this run | 3 | 0.5 to 2.0 |',
  );
  expect(text).toContain('- packages: a note');
});
