import { spawnSync } from 'node:child_process';

/** Everything that a program may print; more would be an archive that nobody wants in an image. */
const MOST = 1100 * 1024 * 1024;
const SECONDS = 600;

export interface Ended {
  /** -1 when the program could not be started, or was ended by a signal. */
  readonly code: number;
  readonly stdout: Buffer;
  /** What it said, or why it did not start. */
  readonly said: string;
}

/** Runs a program that only reads, to its end, in a clean environment: a plan is made at once, and waits for nothing else. */
export function runSync(argv: readonly [string, ...string[]], input = ''): Ended {
  const [file, ...args] = argv;
  const env = {
    PATH: process.env['PATH'] ?? '/usr/bin:/bin',
    HOME: process.env['HOME'] ?? '/',
    LC_ALL: 'C.UTF-8',
    // Who made a checkout is what git asks before it trusts one, also behind sudo.
    ...(process.env['SUDO_UID'] === undefined ? {} : { SUDO_UID: process.env['SUDO_UID'] }),
    GIT_OPTIONAL_LOCKS: '0',
  };
  const { status, stdout, stderr, error } = spawnSync(file, args, {
    env,
    input,
    maxBuffer: MOST,
    timeout: SECONDS * 1000,
  });
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  const why = code === 'ENOENT' ? `${file} was not found` : error?.message;
  return { code: status ?? -1, stdout: stdout ?? Buffer.alloc(0), said: why ?? stderr.toString().trim() };
}
