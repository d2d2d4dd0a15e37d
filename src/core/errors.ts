/** Where in a file something was found. Lines and columns count from 1. */
export interface Location {
  readonly file: string;
  readonly line?: number;
  readonly column?: number;
}

/** One thing that is wrong, told so that its reader can mend it. */
export interface Problem {
  /** What rule is broken and what was found. No trailing full stop needed. */
  readonly message: string;
  readonly where?: Location;
  /** What to do about it. */
  readonly hint?: string;
  /** Source lines with a caret below the place, ready to print. */
  readonly frame?: string;
}

/** Exit codes of the tool: the only numbers that it ends with (130 is for an interrupt). */
export const EXIT = { ok: 0, failed: 1, usage: 2, audit: 3, interrupted: 130 } as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** Everything the user can mend. Anything else that is thrown is a bug of ours and keeps its stack. */
export class UserError extends Error {
  override readonly name: string = 'UserError';
  readonly problems: readonly Problem[];
  readonly exitCode: ExitCode;

  constructor(problems: string | Problem | readonly Problem[], options: { exitCode?: ExitCode; cause?: unknown } = {}) {
    const list = typeof problems === 'string' ? [{ message: problems }] : [problems].flat();
    super(list.map((problem) => problem.message).join('\n'), { cause: options.cause });
    this.problems = list;
    this.exitCode = options.exitCode ?? EXIT.usage;
  }
}

/** A step of a build or boot that failed on the way: exit code 1. */
export class StepError extends UserError {
  override readonly name = 'StepError';
  constructor(problems: string | Problem | readonly Problem[], options: { cause?: unknown } = {}) {
    super(problems, { ...options, exitCode: EXIT.failed });
  }
}
