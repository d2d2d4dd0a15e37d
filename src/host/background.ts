import { execa, type Options } from 'execa';
import { shellQuote } from './runner.ts';

/** A program that goes on beside us, in a process group of its own, until it is stopped. */
export interface Background {
  readonly pid: number;
  /** Settles when it has ended; never rejects. */
  readonly ended: Promise<{ readonly code: number; readonly output: string }>;
  /** Ends it, gently first. Resolves when it is gone. */
  stop(): Promise<void>;
}

export interface BackgroundOptions {
  /** Whether its standard output goes to ours, and our standard input to it. Default: neither. */
  readonly interactive?: boolean;
}

const PATIENCE = 5000;

/** Starts a program that the kernel kills when this process dies, however it dies. */
export function startBackground(argv: readonly string[], { interactive = false }: BackgroundOptions = {}): Background {
  // The program has no controlling terminal: what is typed goes through a pipe, and Ctrl-C stays ours.
  const settings = {
    reject: false,
    extendEnv: false,
    env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', HOME: process.env['HOME'] ?? '/', LC_ALL: 'C.UTF-8' },
    detached: true,
    stdio: interactive ? ['pipe', 'pipe', 'pipe'] : ['ignore', 'ignore', 'pipe'],
    buffer: { stdout: false, stderr: true },
  } satisfies Options;
  const child = execa('setpriv', ['--pdeathsig', 'KILL', '--', ...argv], settings);
  const { pid } = child;
  if (interactive) {
    child.stdout?.pipe(process.stdout, { end: false });
    if (child.stdin) process.stdin.pipe(child.stdin);
    child.stdin?.on('error', () => undefined);
  }
  const signalGroup = (signal: NodeJS.Signals): void => {
    if (pid === undefined) return;
    try {
      process.kill(-pid, signal);
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
    }
  };
  const kill = (): void => signalGroup('SIGKILL');
  process.once('exit', kill);
  const ended = child.then((result) => {
    process.removeListener('exit', kill);
    if (interactive) {
      process.stdin.unpipe();
      process.stdin.pause();
    }
    const reason =
      result.exitCode === undefined ? `${result.shortMessage ?? 'did not start'}: ${shellQuote(argv)}` : '';
    return { code: result.exitCode ?? -1, output: `${String(result.stderr ?? '')}${reason}` };
  });
  return {
    pid: pid ?? -1,
    ended,
    async stop() {
      signalGroup('SIGTERM');
      const timer = setTimeout(kill, PATIENCE);
      await ended;
      clearTimeout(timer);
    },
  };
}
