import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { checksOf, defaultContributions } from '../../src/report/contributions.ts';
import { stages } from '../../stages/index.ts';

const docs = join(import.meta.dirname, '../../docs');
const text = readFileSync(join(docs, 'threat-model.md'), 'utf8');
const known = new Set(checksOf(defaultContributions(stages)).map(({ id }) => id));
/** All provisions of EN 303 645 V2.1.1: how many each section has. */
const sections = { 1: 5, 2: 3, 3: 16, 4: 4, 5: 8, 6: 9, 7: 2, 8: 3, 9: 3, 10: 1, 11: 4, 12: 3, 13: 1 };
const numbered = (section: string, count: number) => Array.from({ length: count }, (_, at) => `${section}-${at + 1}`);
const provisions = [
  ...Object.entries(sections).flatMap(([section, count]) => numbered(`5.${section}`, count)),
  ...numbered('6', 5),
];

describe('the threat model', () => {
  it('names checks that exist as its evidence', () => {
    const named = [...text.matchAll(/`([a-z0-9-]+\/[a-z0-9.-]+)`/g)].map(([, id = '']) => id);
    expect(named.length).toBeGreaterThan(50);
    expect(named.filter((id) => !known.has(id))).toEqual([]);
  });

  it('leads to pages that exist', () => {
    const links = [...text.matchAll(/\]\(([^)#]+)(#[^)]*)?\)/g)].map(([, path = '']) => path);
    expect(links.filter((path) => !existsSync(join(docs, path)))).toEqual([]);
  });

  it('says of each provision how it is answered, and by what', () => {
    const rows = text.split('\n').filter((line) => /^\| (5\.\d+|6)-\d/.test(line));
    for (const row of rows) expect(row, row).toMatch(/^\| \S.* \| \S.* \| (.*)\|$/);
    expect(rows.map((row) => row.split(' ')[1])).toEqual(provisions);
    const bare = rows.filter((row) => /\| \|$/.test(row.replaceAll(/ +/g, ' ')));
    for (const row of bare) expect(row, row).toMatch(/Not met|Operator|Does not apply/);
  });
});
