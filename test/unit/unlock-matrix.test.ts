import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { unlockMatrix, unlockMethods } from '../../src/site/unlock-methods.ts';

// What each unlock method keeps is said at four places: by `init-site`, the README, the threat model, and the report that
// the device itself writes.

const project = join(import.meta.dirname, '../..');
const read = (path: string): string => readFileSync(join(project, path), 'utf8');
const known = unlockMethods.map(({ method, pin, protects }) => [
  pin ? `${method} with PIN` : method,
  protects.pulledCard,
  protects.boxStolen,
  protects.tamperedAndReturned,
  protects.discardedCard,
]);

/** Rows of a table in Markdown whose second cell begins with `kept` or `open`. */
function rowsOf(text: string): unknown[][] {
  const rows = text.split('\n').filter((line) => /^\| `[a-z0-9-]+`.* \| (kept|open)/.test(line));
  return rows.map((row) => {
    const [name = '', ...cells] = row.split('|').slice(1, -1);
    const kept = cells.slice(0, 4).map((cell) => cell.trim().startsWith('kept'));
    return [name.trim().replaceAll('`', '').replace('pin: true', 'PIN'), ...kept];
  });
}

describe('what an unlock method keeps', () => {
  it.each(['README.md', 'docs/threat-model.md'])('is said in %s as the program has it', (path) => {
    expect(rowsOf(read(path))).toEqual(known);
  });

  it('is said by init-site, with names of the same width', () => {
    const rows = unlockMatrix().split('\n').slice(1);
    const told = rows.map((row) => [
      row.slice(0, 12).trim().replace('+', 'with'),
      ...[...row.matchAll(/kept|open/g)].map(([word]) => word === 'kept'),
    ]);
    expect(told).toEqual(known);
  });

  it("is said by the device's report", () => {
    const script = 'import json; from amslpr_device.steps.report import PROTECTS; print(json.dumps(PROTECTS))';
    const env = { ...process.env, PYTHONPATH: join(project, 'device'), PYTHONDONTWRITEBYTECODE: '1' };
    const report: Record<string, Record<string, string>> = JSON.parse(
      execFileSync('/usr/bin/python3', ['-c', script], { env, encoding: 'utf8' }),
    );
    const cases = ['pulled card', 'whole box stolen', 'tampered with and returned', 'discarded card'];
    const told = Object.entries(report).map(([name, cells]) => {
      expect(Object.keys(cells)).toEqual(cases);
      for (const cell of Object.values(cells)) expect(cell).toMatch(/^(closed|open)\b/);
      return [name, ...cases.map((one) => cells[one]?.startsWith('closed'))];
    });
    expect(told).toEqual(known);
  });
});
