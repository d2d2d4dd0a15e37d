#!/usr/bin/env -S npx tsx
import { join } from 'node:path';
import { execa } from 'execa';

// Linters, types, dead code, and the tests that need Node and python3 alone; what to run before each commit. They run
// beside each other, since the tests wait for processes and disks half of their time. Each prints when it has ended.
const checks: Readonly<Record<string, readonly [string, ...string[]]>> = {
  tests: ['vitest', 'run', '--project', 'unit', '--project', 'golden', '--maxWorkers', '2'],
  python: ['tsx', 'ci/check-python.ts'],
  lint: ['biome', 'ci', '.'],
  types: ['tsc', '--noEmit', '--incremental', '--tsBuildInfoFile', 'node_modules/.cache/check.tsbuildinfo'],
  'unused code': ['knip'],
};

const cwd = join(import.meta.dirname, '..');
const runs = Object.entries(checks).map(async ([name, [program, ...options]]) => {
  const run = await execa(program, options, { cwd, preferLocal: true, reject: false, all: true });
  process.stdout.write(`== ${name}\n${run.all}\n`);
  return run.exitCode === 0 ? [] : [name];
});
const failed = (await Promise.all(runs)).flat();
if (failed.length > 0) {
  process.stdout.write(`Failed: ${failed.join(', ')}\n`);
  process.exitCode = 1;
}
