#!/usr/bin/env -S npx tsx
import { existsSync, readFileSync } from 'node:fs';
import { chalk, path } from 'zx/core';
import { runProgram } from './src/cli/program.ts';
import type { Tool } from './src/cli/tool.ts';
import { EXIT, type ExitCode } from './src/core/errors.ts';
import { cacheRoot } from './src/host/cache.ts';
import { describeError } from './src/ui/errors.ts';
import { githubLog, plainLog, terminalLog } from './src/ui/log.ts';
import { rememberTimes } from './src/ui/step-times.ts';
import { paintWith, wantsColor } from './src/ui/text.ts';
import { stages } from './stages/index.ts';

// The entry: gives the stages to the verbs, shows what happens, and is the only place that exits.

const root = [import.meta.dirname, path.dirname(import.meta.dirname)].find((folder) =>
  existsSync(path.join(folder, 'overlays')),
);
if (root === undefined) throw new Error('the folder with overlays/ was not found');

const { env, stderr, stdout, stdin } = process;
const argv = process.argv.slice(2);
const github = env['GITHUB_ACTIONS'] === 'true';
const color = wantsColor(stderr.isTTY, env);
if (!color) chalk.level = 0;
const paint = paintWith(color);
const width = Math.min(stderr.columns ?? 80, 100);
const makeLog = github ? githubLog : stderr.isTTY ? terminalLog : plainLog;
const verbose = argv.includes('--verbose') || argv.includes('-v');
const log = makeLog({ write: (text) => stderr.write(text), width }, { paint, verbose });

const interrupt = new AbortController();
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(name, () => {
    if (interrupt.signal.aborted) log({ kind: 'notice', text: 'Still cleaning up.' });
    interrupt.abort();
  });
}
// `plan | head` ends early: whoever read has what it wanted.
stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(EXIT.ok);
  stderr.write(describeError(Object.assign(error, { path: 'standard output' }), { paint, width, github }).text);
  process.exit(EXIT.failed);
});

const tool: Tool = {
  root,
  version: JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')).version,
  stages,
  log: rememberTimes(log, path.join(cacheRoot(), 'step-times.json')),
  signal: interrupt.signal,
  print: (text) => stdout.write(text),
  paint: paintWith(wantsColor(stdout.isTTY, env)),
  prompts: async () =>
    stdin.isTTY && stderr.isTTY ? (await import('./src/ui/prompts.ts')).terminalPrompts() : undefined,
};

const code = await main();
// What is still on its way to a pipe gets there first: leaving at once would cut it off.
await Promise.all([stdout, stderr].map((stream) => new Promise((resolve) => stream.write('', resolve))));
process.exit(code);

async function main(): Promise<ExitCode> {
  try {
    return await runProgram(argv, tool);
  } catch (error) {
    // Whatever an interrupted step throws on its way out, the reason is the interrupt.
    const reason: unknown = interrupt.signal.aborted ? interrupt.signal.reason : error;
    const { text, code } = describeError(reason, { paint, width, github });
    stderr.write(text);
    return code;
  }
}
