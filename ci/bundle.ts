#!/usr/bin/env -S npx tsx
import { chmod, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'esbuild';

// Makes dist/: the program with its libraries in a few files. Node reads 700 modules for `plan` otherwise, which takes
// longer than the plan itself. What a verb loads when it runs stays in files of its own.
const root = join(import.meta.dirname, '..');
const dist = join(root, 'dist');

await rm(dist, { recursive: true, force: true });
await build({
  absWorkingDir: root,
  entryPoints: ['build.ts'],
  outdir: dist,
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  // A quarter less to parse at each start; names stay, for stack traces.
  minifyWhitespace: true,
  minifySyntax: true,
  // Libraries in the older module format ask for Node's own modules by `require`, which ES modules lack.
  banner: {
    js: "import { createRequire as makeRequire } from 'node:module'; const require = makeRequire(import.meta.url);",
  },
  logLevel: 'warning',
});
const entry = join(dist, 'build.js');
await writeFile(entry, (await readFile(entry, 'utf8')).replace(/^#!.*/, '#!/usr/bin/env node'));
await chmod(entry, 0o755);
