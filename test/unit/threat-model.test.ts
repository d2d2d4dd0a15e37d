import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { checksOf, defaultContributions } from '../../src/report/contributions.ts';
import { stages } from '../../stages/index.ts';

const docs = join(import.meta.dirname, '../../docs');
const text = readFileSync(join(docs, 'threat-model.md'), 'utf8');
const known = new Set(checksOf(defaultContributions(stages)).map(({ id }) => id));
/** All provisions of EN 303 645 V3.1.3, by section: up to which number, and those that it has in two or one more of. */
const sections: readonly (readonly [section: string, count: number, letters?: Readonly<Record<number, string>>])[] = [
  ['5.1', 5, { 2: ' A' }],
  ['5.2', 3],
  ['5.3', 16, { 4: 'AB', 6: 'AB', 15: 'AB' }],
  ['5.4', 4],
  ['5.5', 8],
  ['5.6', 9, { 4: 'AB' }],
  ['5.7', 2],
  ['5.8', 3],
  ['5.9', 3],
  ['5.10', 1],
  ['5.11', 4],
  ['5.12', 3],
  ['5.13', 1, { 1: 'AB' }],
  ['6', 8, { 3: 'AB' }],
];
const provisions = [
  '5.0-1',
  ...sections.flatMap(([section, count, letters = {}]) =>
    Array.from({ length: count }, (_, at) => at + 1).flatMap((number) =>
      [...(letters[number] ?? ' ')].map((letter) => `${section}-${number}${letter.trim()}`),
    ),
  ),
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
