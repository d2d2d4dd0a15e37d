import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { UserError } from '../../../src/core/errors.ts';
import { validateSite } from '../../../src/site/validate.ts';
import { describeError } from '../../../src/ui/errors.ts';

// The corpus that device/tests/test_site_file.py gives to the device's validator, by the way that `personalize` and
// `flash` take on the host.

const SITES = join(import.meta.dirname, '../../fixtures/sites');
const good = readdirSync(join(SITES, 'good'));
const bad = readFileSync(join(SITES, 'expected.tsv'), 'utf8')
  .trimEnd()
  .split('\n')
  .slice(1)
  .map((row) => row.split('\t') as [string, string, string]);

describe('the host judges site files as the device does', () => {
  it('takes every good one', { timeout: 120_000 }, async () => {
    for (const name of good) {
      const found = await validateSite(join(SITES, 'good', name));
      expect(found.canonical, name).toMatch(/\n\.\.\.\n$/);
      expect(found.digest, name).toMatch(/^[0-9a-f]{64}$/);
    }
  });

  it('refuses every bad one, at its line and with its reason', { timeout: 300_000 }, async () => {
    expect(good.length + bad.length).toBeGreaterThanOrEqual(300);
    for (const [name, line, message] of bad) {
      const path = join(SITES, 'bad', name);
      const error: unknown = await validateSite(path).catch((cause: unknown) => cause);
      if (!(error instanceof UserError)) expect.fail(`${name} was taken`);
      const told = error.problems.map((problem) => ({ line: String(problem.where?.line ?? 0), text: problem.message }));
      const isTold = told.some((one) => one.line === line && one.text.includes(message));
      expect(isTold, `${name}: ${JSON.stringify(told)}`).toBe(true);
    }
  });

  it('names no line for what is wrong with a whole file', async () => {
    for (const name of ['bytes-too-big.yaml', 'bytes-utf-16.yaml']) {
      const path = join(SITES, 'bad', name);
      const error: unknown = await validateSite(path).catch((cause: unknown) => cause);
      const { text } = describeError(error, { paint: (_, plain) => plain, width: 200 });
      expect(text.split('\n')[1], name).toBe(`  --> ${path}`);
    }
  });
});
