#!/usr/bin/env -S npx tsx
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Diagnostic, PositionEncoding, Workspace } from '@astral-sh/ruff-wasm-nodejs';
import { execa } from 'execa';
import { parse } from 'smol-toml';

// Usage: check-python.ts [--fix|--all]
// Lints and formats (ruff), checks types (pyright) and tests (pytest) the project's Python. With --fix, it formats the
// files and applies ruff's fixes instead. With --all, as in ci/test, the tests marked `slow` run too. What they start is
// in ci/packages.txt.
const root = join(import.meta.dirname, '..');
/** The system's: Flask and pytest come from the distribution, as on the device. */
const python = '/usr/bin/python3';
const fix = process.argv.includes('--fix');
const tests = process.argv.includes('--all') ? [] : ['-m', 'not slow'];

const listed = await execa({
  cwd: root,
})`git ls-files --cached --others --exclude-standard -- device/*.py overlays/*.py src/*.py standin/*.py test/*.py`;
const ruff = new Workspace(parse(readFileSync(join(root, 'ruff.toml'), 'utf8')), PositionEncoding.Utf16);

/** The text with ruff's fixes. Overlapping ones wait for the next turn; a file that never settles is left as it is. */
function fixed(text: string): string {
  let current = text;
  for (let turn = 0; turn < 10; turn += 1) {
    const edits = (ruff.check(current) as Diagnostic[]).flatMap((one) => one.fix?.edits ?? []);
    if (edits.length === 0) return current;
    const starts = [0];
    for (const line of current.split('\n')) starts.push((starts.at(-1) ?? 0) + line.length + 1);
    const offset = (place: { row: number; column: number }): number => (starts[place.row - 1] ?? 0) + place.column - 1;
    let from = Number.POSITIVE_INFINITY;
    for (const edit of edits.toSorted((a, b) => offset(b.location) - offset(a.location))) {
      const end = offset(edit.end_location);
      if (end > from) continue;
      from = offset(edit.location);
      current = current.slice(0, from) + (edit.content ?? '') + current.slice(end);
    }
  }
  return text;
}

/** What ruff finds in one file. */
function lint(name: string): string[] {
  const path = join(root, name);
  const text = readFileSync(path, 'utf8');
  if (!fix) {
    const found = (ruff.check(text) as Diagnostic[]).map(
      (one) => `${name}:${one.start_location.row}:${one.start_location.column}: ${one.code ?? 'syntax'} ${one.message}`,
    );
    const tidy = found.some((one) => one.includes(': syntax ')) || ruff.format(text) === text;
    return tidy ? found : [...found, `${name}: is not formatted; run: npm run check:python -- --fix`];
  }
  const wanted = ruff.format(fixed(text));
  if (wanted !== text) {
    writeFileSync(path, wanted);
    process.stdout.write(`${name}: written\n`);
  }
  return [];
}

const problems = listed.stdout.split('\n').filter(Boolean).flatMap(lint);
process.stdout.write(problems.map((one) => `${one}\n`).join(''));
let failed = problems.length > 0;

if (!fix) {
  const options = { cwd: root, preferLocal: true, reject: false, all: true } as const;
  const env = { PYTHONDONTWRITEBYTECODE: '1' };
  const runs = await Promise.all([
    execa('pyright', ['--pythonpath', python], options),
    execa({ ...options, env })`${python} -m pytest -q ${tests}`,
  ]);
  for (const run of runs) {
    process.stdout.write(`${run.all}\n`);
    failed ||= run.exitCode !== 0;
  }
}
process.exitCode = failed ? 1 : 0;
