import type { Readable } from 'node:stream';
import { execa } from 'execa';
import { StepError } from '../core/errors.ts';
import { shellQuote } from './runner.ts';

const TAIL_LINES = 20;

/**
 * Runs a program whose output is bytes and too much to hold. `consume` reads them; when it throws, the program is ended
 * and the error passed on. Resolves to what `consume` gave and the program's standard error.
 * @throws StepError when the program fails; what `consume` gave is then worth nothing.
 */
export async function runStream<T>(
  argv: readonly string[],
  consume: (stdout: Readable) => Promise<T>,
): Promise<{ readonly value: T; readonly stderr: string }> {
  const [file, ...args] = argv;
  if (file === undefined) throw new TypeError('an empty command');
  const child = execa(file, args, {
    reject: false,
    extendEnv: false,
    env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', LC_ALL: 'C.UTF-8' },
    stdin: 'ignore',
    buffer: { stdout: false },
    encoding: 'buffer',
  });
  const stdout = child.stdout;
  const outcome = await consume(stdout).then(
    (value) => ({ ok: true, value }) as const,
    (error: unknown) => ({ ok: false, error }) as const,
  );
  if (outcome.ok) stdout.resume();
  else child.kill();
  const result = await child;
  const stderr = Buffer.from(result.stderr ?? []).toString();
  // A program that failed is the cause of whatever its reader found wrong with the output.
  if (result.failed && (outcome.ok || (result.exitCode ?? 0) > 0)) {
    const reason = result.code === 'ENOENT' ? 'The program was not found' : 'The command failed';
    throw new StepError({
      message: `${reason}: ${shellQuote(argv)}`,
      hint: stderr.trim().split('\n').slice(-TAIL_LINES).join('\n'),
    });
  }
  if (!outcome.ok) throw outcome.error;
  return { value: outcome.value, stderr };
}
