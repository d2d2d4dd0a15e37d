import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../../src/config/load.ts';
import { makePlan } from '../../../src/plan/plan.ts';
import { stages } from '../../../stages/index.ts';
import { batches, mendOf, scriptOf } from '../../boot/breakages/index.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const plan = makePlan(loadConfig(`${root}/config/amslpr.yaml`, stages), stages, root);
const asked = plan.checks.filter(({ kind }) => kind === 'run').map(({ id }) => id);
const entries = Object.values(batches).flatMap((batch) => Object.entries(batch));

describe('the breakages of the boot test', () => {
  it('have one for every check that a guest answers, and no other', () => {
    expect(entries.map(([id]) => id).sort()).toEqual([...asked].sort());
  });

  it('give a reason in words where there is no command', () => {
    const reasons = entries.flatMap(([, one]) => (typeof one === 'object' && 'never' in one ? [one.never] : []));
    for (const reason of reasons) expect(reason).toMatch(/^[A-Z].{40,}\.$/);
  });

  it('are one script a batch, in which each says that it could not be done', () => {
    const script = scriptOf({
      'a/one': 'false',
      'a/two': { run: 'true', mend: 'echo first' },
      'b/no': { never: 'No.' },
    });
    expect(script).toMatch(/\(\nfalse\n\) < \/dev\/null \|\| echo 'not done: a\/one'/);
    expect(script).not.toContain('b/no');
  });

  it('are mended in the other direction', () => {
    const batch = { 'a/one': { run: '1', mend: 'undo 1' }, 'a/two': '2', 'a/three': { run: '3', mend: 'undo 3' } };
    expect(mendOf(batch)).toBe('undo 3\nundo 1');
  });
});
