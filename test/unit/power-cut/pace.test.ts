import { expect, test } from 'vitest';
import { AFTER, BEFORE } from '../../power-cut/marks.ts';
import { anyMoment, momentIn, type Pace } from '../../power-cut/pace.ts';

const pace: Pace = {
  marks: ['entropy', 'admins', 'data'].map((step, at) => ({ step, logBytes: 0, seconds: 20 + 10 * at })),
  ready: 50,
};
const range = (phases: readonly string[]): number[] => [0, 1].map((random) => momentIn(pace, phases, random));

test('a new card is cut from shortly before its first step until shortly after ready', () => {
  expect(range([])).toEqual([15, 60]);
  expect(range([BEFORE, 'entropy'])).toEqual([15, 60]);
});

test('a card whose earlier boots came further has less to do', () => {
  expect(range(['admins', 'entropy'])).toEqual([15, 50]);
  expect(range([AFTER, 'data'])).toEqual([15, 30]);
});

test('one cut may come at any time', () => {
  expect([0, 1].map((random) => anyMoment(pace, random))).toEqual([0, 60]);
  expect(momentIn({ ...pace, marks: [{ step: 'entropy', logBytes: 0, seconds: 2 }] }, [], 0)).toBe(0);
});
