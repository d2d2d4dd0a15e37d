import { Duplex, type Readable, type Writable } from 'node:stream';
import { execa, type Options } from 'execa';
import { StepError, UserError } from '../core/errors.ts';

/** The one place that starts programs: argument lists only, no shell, a clean environment. */
export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Given to the program's standard input; nothing by default. */
  readonly input?: string | Uint8Array | Readable;
  /** Takes stdout, byte for byte, instead of the result: for binary and for large output. It is ended with the program. */
  readonly stdoutTo?: Writable;
  /** Seconds after which the program is ended and the call fails. */
  readonly timeout?: number;
  /** Exit codes that are no failure. Default [0]. */
  readonly okCodes?: readonly number[];
  /** Called with each chunk of stdout and stderr, for logs and progress. */
  readonly onOutput?: (chunk: string) => void;
  readonly signal?: AbortSignal;
  /** Command line for messages, where the real one is of no use to the reader. */
  readonly shownAs?: readonly string[];
  /** Called when the program first writes to its file descriptor 3, which it also reads: `answer` writes there. */
  readonly handshake?: (pid: number, answer: Writable) => Promise<void>;
}

export interface RunResult {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number;
}

export interface Runner {
  /** @throws StepError naming the command (ready to paste), reason and last lines of output. */
  run(argv: readonly string[], options?: RunOptions): Promise<RunResult>;
}

/** Characters of a command in a message. */
const SHOWN = 300;
const TAIL_LINES = 20;

/** A command line as a person would type it. */
export function shellQuote(argv: readonly string[]): string {
  return argv.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)).join(' ');
}

function cleanEnvironment(extra: Readonly<Record<string, string>> = {}): Record<string, string> {
  const kept = ['PATH', 'HOME', 'TERM', 'TMPDIR', 'SSH_AUTH_SOCK'].flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return { ...Object.fromEntries(kept), LC_ALL: 'C.UTF-8', ...extra };
}

const asError = (thrown: unknown): Error => (thrown instanceof Error ? thrown : new Error(String(thrown)));

function start(file: string, args: readonly string[], options: RunOptions) {
  const { input, stdoutTo, handshake } = options;
  const stdin =
    input === undefined
      ? ('ignore' as const)
      : input instanceof Uint8Array || typeof input === 'string'
        ? ('pipe' as const)
        : (['pipe' as const, input] as const);
  const settings = {
    reject: false,
    extendEnv: false,
    env: cleanEnvironment(options.env),
    stdio: [
      stdin,
      // Streams that are no open files can't be given to a process; their bytes go through a pipe.
      stdoutTo === undefined ? ('pipe' as const) : (['pipe' as const, stdoutTo] as const),
      'pipe' as const,
      ...(handshake === undefined ? [] : ['pipe' as const]),
    ],
    ...(typeof input === 'string' || input instanceof Uint8Array ? { input } : {}),
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.timeout === undefined ? {} : { timeout: options.timeout * 1000 }),
    ...(options.signal === undefined ? {} : { cancelSignal: options.signal }),
    // Programs that clean up after themselves are few; those in a namespace die with it only by this signal.
    ...(handshake === undefined ? {} : { killSignal: 'SIGKILL' as const }),
    buffer: stdoutTo === undefined ? true : { stdout: false, stderr: true },
    maxBuffer: 256 * 1024 * 1024,
  } satisfies Options;
  const child = execa(file, args, settings);
  const channel: unknown = (child.stdio as readonly unknown[])[3];
  if (handshake !== undefined && channel instanceof Duplex && child.pid !== undefined) {
    const { pid } = child;
    channel.on('error', () => undefined);
    channel.once('data', () => {
      handshake(pid, channel).catch((cause: unknown) => child.kill('SIGKILL', asError(cause)));
    });
  }
  return child;
}

export const hostRunner: Runner = {
  async run(argv, options = {}) {
    const [file, ...args] = argv;
    if (file === undefined) throw new TypeError('an empty command');
    const child = start(file, args, options);
    if (options.onOutput !== undefined) {
      const forward = options.onOutput;
      child.stdout?.on('data', (chunk: Buffer) => forward(chunk.toString()));
      child.stderr?.on('data', (chunk: Buffer) => forward(chunk.toString()));
    }
    const result = await child;
    const stdout = String(result.stdout ?? '');
    const stderr = String(result.stderr ?? '');
    const code = result.exitCode ?? -1;
    if (result.cause instanceof UserError) throw result.cause;
    if (result.failed && !(options.okCodes ?? [0]).includes(code)) {
      const full = /No space left on device/.test(`${stdout}${stderr}`);
      throw new StepError({
        message: `${full ? 'The disk is full' : failureReason(result, options)}: ${shown(options.shownAs ?? argv)}`,
        hint: `${stdout}\n${stderr}`.trim().split('\n').slice(-TAIL_LINES).join('\n'),
      });
    }
    return { stdout, stderr, code };
  },
};

/** A command as a person wants to read it: a whole script among its arguments is told by its first line. */
function shown(argv: readonly string[]): string {
  const line = shellQuote(argv.map((word) => (word.includes('\n') ? `${word.slice(0, word.indexOf('\n'))} …` : word)));
  return line.length > SHOWN ? `${line.slice(0, SHOWN)} …` : line;
}

interface Failure {
  readonly timedOut: boolean;
  readonly isCanceled: boolean;
  readonly signal?: string | undefined;
  readonly exitCode?: number | undefined;
  readonly code?: string | undefined;
}

function failureReason(result: Failure, options: RunOptions): string {
  if (result.code === 'ENOENT') return 'The program was not found';
  if (result.timedOut) return `The command did not end within ${options.timeout} s`;
  if (result.isCanceled) return 'The command was interrupted';
  if (result.signal !== undefined) return `The command was ended by ${result.signal}`;
  return `The command failed with exit code ${result.exitCode}`;
}
