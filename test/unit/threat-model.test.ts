import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { checksOf, defaultContributions } from '../../src/report/contributions.ts';
import { stages } from '../../stages/index.ts';

const docs = join(import.meta.dirname, '../../docs');
const text = readFileSync(join(docs, 'threat-model.md'), 'utf8');
const known = new Set(checksOf(defaultContributions(stages)).map(({ id }) => id));

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
    const rows = text.split('\n').filter((line) => /^\| 5\.\d/.test(line));
    expect(rows.length).toBeGreaterThan(20);
    for (const row of rows) expect(row, row).toMatch(/^\| 5\.\S.* \| \S.* \| (.*)\|$/);
    const bare = rows.filter((row) => /\| \|$/.test(row.replaceAll(/ +/g, ' ')));
    for (const row of bare) expect(row, row).toMatch(/Not met|Operator/);
  });
});
