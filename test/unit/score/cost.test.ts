import { expect, it } from 'vitest';
import { costFigures, readCost } from '../../../src/score/measures/cost.ts';

it('cost: the line on the console, and both images side by side', () => {
  const line = 'cost 1000000 750000 80 1000 2000 Startup finished in 5s (kernel) + 9s (userspace) = 14s\r';
  const cost = readCost(`[  OK  ] Reached target\r\nplain login: ${line}\n`);
  expect(cost).toEqual({
    memory: 244,
    total: 977,
    processes: 80,
    written: 6.144,
    boot: '5s (kernel) + 9s (userspace) = 14s',
  });
  expect(readCost('cost of nothing')).toBeUndefined();
  if (cost === undefined) return;
  expect(costFigures(cost, { ...cost, processes: 50 })[1]?.figure).toBe('80; without our stages 50');
  expect(costFigures(cost, undefined)[1]?.figure).toBe('80');
});
