/**
 * Takes the figures that docs/performance.md shows: npm run bench -- [ROW...] [--quick] [--all] [--rounds N] [--json]
 * [--output FILE] [--again]. Rows that FILE (default out/bench.json) holds already, of the same commit and kind of run,
 * are not taken again unless --again is given, so that a run that was cut off goes on. Each row is written when it ends;
 * one that fails is told at the end, and the others go on.
 */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { loadavg } from 'node:os';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { UserError } from '../src/core/errors.ts';
import { nothing, overlay } from './again.ts';
import { cold } from './cold.ts';
import { flashing } from './flash.ts';
import { growth } from './growth.ts';
import { circumstances, resultsFile } from './host.ts';
import { initramfs } from './initramfs.ts';
import { memory } from './memory.ts';
import { packages } from './packages.ts';
import { plan } from './plan.ts';
import { raspios } from './raspios.ts';
import { type FinishedRow, type Results, table } from './report.ts';
import type { Row } from './row.ts';

const ROWS: readonly Row[] = [plan, nothing, overlay, packages, initramfs, cold, memory, growth, flashing, raspios];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    all: { type: 'boolean', default: false },
    again: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    output: { type: 'string' },
  },
});
const { quick, all, again, json } = values;
const rounds = Number(values.rounds ?? (quick ? 1 : 3));
const file = resultsFile(values.output);
const tell = (text: string): void => void process.stderr.write(`${text}\n`);
const load = (): number => loadavg()[0] ?? 0;

async function before(now: Results['circumstances']): Promise<FinishedRow[]> {
  if (again) return [];
  const text = await readFile(file, 'utf8').catch(() => undefined);
  if (text === undefined) return [];
  const found = JSON.parse(text) as Results;
  const same = found.circumstances.commit === now.commit && found.circumstances.quick === now.quick;
  return same ? [...found.rows] : [];
}

async function write(results: Results): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(`${file}.new`, `${JSON.stringify(results, null, 1)}\n`);
  await rename(`${file}.new`, file);
}

const unknown = positionals.filter((name) => !ROWS.some((row) => row.name === name));
if (unknown.length > 0 || !Number.isInteger(rounds) || rounds < 1) {
  tell(
    `usage: npm run bench -- [${ROWS.map(({ name }) => name).join('|')}...] [--quick] [--all] [--rounds N] [--json]`,
  );
  process.exit(2);
}
const wanted = ROWS.filter((row) =>
  positionals.length > 0
    ? positionals.includes(row.name)
    : (all || row.extra !== true) && !(quick && row.slow === true),
);
const now = await circumstances(quick);
const rows = await before(now);
const failed: string[] = [];
for (const row of wanted) {
  if (rows.some((one) => one.row === row.name)) {
    tell(`${row.name}: taken before; --again takes it again`);
    continue;
  }
  const start = load();
  tell(`${row.name}: ${row.work}`);
  try {
    const outcome = await row.run({ rounds, quick, tell });
    rows.push({
      row: row.name,
      work: row.work,
      finished: new Date().toISOString(),
      load: [start, load()],
      rounds,
      ...outcome,
    });
    await write({ circumstances: now, rows });
  } catch (error) {
    failed.push(row.name);
    const problems = error instanceof UserError ? error.problems : [];
    for (const { message, hint = '' } of problems) tell(`${message}\n${hint}`);
    tell(`${row.name} failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  }
}
const results: Results = { circumstances: now, rows };
process.stdout.write(json ? `${JSON.stringify(results, null, 1)}\n` : `${table(results)}\n`);
if (failed.length > 0) tell(`Failed: ${failed.join(', ')}`);
process.exit(failed.length === 0 ? 0 : 1);
