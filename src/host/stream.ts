import { PassThrough, type Readable } from 'node:stream';
import { hostRunner } from './runner.ts';

/**
 * Runs a program whose output is bytes and too much to hold. `consume` reads them, and `input`, if any, goes
 * to the program; when it throws, the program is ended
 * and the error passed on. Resolves to what `consume` gave and the program's standard error.
 * @throws StepError when the program fails; what `consume` gave is then worth nothing.
 */
export async function runStream<T>(
  argv: readonly string[],
  consume: (stdout: Readable) => Promise<T>,
  signal?: AbortSignal,
  input?: Uint8Array,
): Promise<{ readonly value: T; readonly stderr: string }> {
  const stdout = new PassThrough();
  const abort = new AbortController();
  const ended = signal === undefined ? abort.signal : AbortSignal.any([abort.signal, signal]);
  const outcome = consume(stdout).then(
    (value) => {
      // What the reader did not want must not keep the program waiting.
      stdout.resume();
      return { ok: true, value } as const;
    },
    (error: unknown) => {
      abort.abort();
      return { ok: false, error } as const;
    },
  );
  const running = hostRunner
    .run(argv, { stdoutTo: stdout, signal: ended, ...(input === undefined ? {} : { input }) })
    .then(
      (result) => ({ ok: true, result }) as const,
      (error: unknown) => {
        stdout.destroy(error instanceof Error ? error : new Error(String(error)));
        return { ok: false, error } as const;
      },
    );
  const [read, ran] = await Promise.all([outcome, running]);
  // A program that failed is the cause of whatever its reader found wrong with the output; one that was ended is not.
  if (!ran.ok && !abort.signal.aborted) throw ran.error;
  if (!read.ok) throw read.error;
  if (!ran.ok) throw ran.error;
  return { value: read.value, stderr: ran.result.stderr };
}
