import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { firstBootSteps } from '../../stages/first-boot/steps.ts';

const device = join(import.meta.dirname, '../../device/amslpr_device');

/** The quoted names of a tuple in runner.py. */
function namesOf(tuple: string): string[] {
  const runner = readFileSync(join(device, 'runner.py'), 'utf8');
  const body = new RegExp(`^${tuple} = \\(([^)]*)\\)`, 'm').exec(runner)?.[1] ?? '';
  return [...body.matchAll(/'([a-z-]+)'/g)].map(([, name = '']) => name);
}

describe('the steps that the plan shows', () => {
  const names = firstBootSteps.map(({ name }) => name);

  test('are those of the device, in its order', () => {
    expect(names).toEqual([...namesOf('FIRST_BOOT'), ...namesOf('PROVISION')]);
    expect(names.length).toBeGreaterThan(15);
  });

  test.each(names)('%s has a file that says what it makes and what a cut leaves', (name) => {
    const file = join(device, 'steps', `${name.replaceAll('-', '_')}.py`);
    expect(existsSync(file)).toBe(true);
    const text = readFileSync(file, 'utf8');
    expect(text.split('"""')[1]).toMatch(/[Cc]ut\b/);
    expect(text).toMatch(/^def product_ok\(ctx: Context\) -> bool:$/m);
    expect(text).toMatch(/^def make\(ctx: Context\) -> None:$/m);
  });
});
