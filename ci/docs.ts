#!/usr/bin/env -S npx tsx
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { checksOf, defaultContributions } from '../src/report/contributions.ts';
import { coveragePage } from '../src/report/coverage.ts';
import { findings } from '../src/report/findings/index.ts';
import { findingsPart } from '../src/report/findings.ts';
import { referencePage } from '../src/report/reference.ts';
import { plainSecrets, secretsPage } from '../src/report/secrets.ts';
import { stages } from '../stages/index.ts';

// Writes the pages that are made from the stages. A unit test fails while they differ from what this would write.
const docs = join(import.meta.dirname, '..', 'docs');
const runBooks = new Set(readdirSync(join(docs, 'runbooks')).map((name) => name.replace(/\.md$/, '')));
const all = defaultContributions(stages);
const read = (path: string): string | undefined => {
  const file = join(docs, '..', path);
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
};
const checks = checksOf(all);
const beyond = findingsPart(findings, { checks, runBooks, read });
writeFileSync(join(docs, 'guide-coverage.md'), coveragePage(stages, checks, runBooks, beyond));
writeFileSync(join(docs, 'reference.md'), referencePage(all));
writeFileSync(join(docs, 'secrets.md'), secretsPage(plainSecrets(all)));
