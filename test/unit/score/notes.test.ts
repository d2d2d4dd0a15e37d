import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import type { Figure } from '../../../src/score/figure.ts';
import { notesOf } from '../../../src/score/notes.ts';

const figures = (...ids: string[]): Figure[] => ids.map((id) => ({ id, title: '', figure: '', tool: '', below: [] }));
const ALL = ['cost/writes', 'openscap/cis/level1_server', 'lynis/index', 'ports/ipv6'];

it('notes are told of the figures that there are', () => {
  expect(notesOf(figures('ssh/fail', 'ports/listening'))).toEqual([]);
  expect(notesOf(figures(...ALL))).toHaveLength(4);
  expect(notesOf(figures('cost/writes'))[0]).toContain('from 5 minutes');
  expect(notesOf(figures('headers/statuses'))[0]).toContain('On 301');
  expect(notesOf(figures('ports/ipv4'))[0]).toContain('Of UDP 26 are');
});

it.each([
  ['scores.md', ALL],
  ['scores-raspios.md', ['openscap/cis/level1_server']],
])('docs/%s has the notes as they are', (file, ids) => {
  const page = readFileSync(`docs/${file}`, 'utf8');
  for (const note of notesOf(figures(...ids))) expect(page).toContain(`\n- ${note}\n`);
});
