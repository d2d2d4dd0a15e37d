import { expect, it } from 'vitest';
import { scorePage } from '../../../src/score/table.ts';

it('the page shows what is below its goal, with what stands in the way', () => {
  const figures = [
    { id: 'a', title: 'A', figure: '1', goal: '0', met: false, tool: 't 1', below: ['x | y'] },
    { id: 'b', title: 'B', figure: '2', tool: 't 2', data: 'today', below: [] },
  ];
  const page = scorePage({
    title: 'T',
    subject: 's',
    system: 'd',
    machine: 'virt',
    day: '2026-01-01',
    figures,
    exceptions: {},
  });
  expect(page).toContain('| A | 1 | 0 | **below** | t 1 |');
  expect(page).toContain('- A: `x | y`.');
  expect(page).toContain('| B | 2 |  |  | t 2; today |');
});
