import { EXIT, type ExitCode, type Problem, UserError } from '../core/errors.ts';
import { escapeCommand } from './log.ts';
import { type Paint, printable, wrap } from './text.ts';

export interface ErrorStyle {
  readonly paint: Paint;
  readonly width: number;
  /** Adds annotations for GitHub Actions. */
  readonly github?: boolean;
}

/** The text for anything that was thrown, and the code to exit with. Only bugs of ours show a stack. */
export function describeError(thrown: unknown, style: ErrorStyle): { readonly text: string; readonly code: ExitCode } {
  if (isAbort(thrown)) return { text: 'Interrupted.\n', code: EXIT.interrupted };
  if (thrown instanceof UserError) {
    const text = thrown.problems.map((problem) => problemText(problem, style)).join('\n');
    const count = thrown.problems.length > 1 ? `\n${thrown.problems.length} problems.\n` : '';
    return { text: text + count, code: thrown.exitCode };
  }
  const refused = refusalOf(thrown);
  if (refused !== undefined) return { text: problemText({ message: refused }, style), code: EXIT.failed };
  const stack = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
  return { text: `${style.paint('red', 'This is a bug of amslpr-image:')} ${stack}\n`, code: EXIT.failed };
}

/** Only what the host decides: a file that is missing (ENOENT) may well be one that we forgot to make. */
const REFUSALS: Readonly<Record<string, string>> = {
  EACCES: 'this user may not do that',
  EPERM: 'this user may not do that',
  EROFS: 'the file system is read-only',
  ENOSPC: 'the disk is full',
  EDQUOT: "this user's share of the disk is full",
  EIO: 'the disk has an error',
  EISDIR: 'it is a folder',
  ENOTDIR: 'a part of the path is no folder',
  EMFILE: 'too many files are open',
  ENFILE: 'too many files are open',
};

/** The words for what the host refused, wherever that was: no bug of ours, so its stack would help nobody. */
function refusalOf(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error)) return undefined;
  const { code = '', syscall = '', path } = thrown as NodeJS.ErrnoException;
  const reason = syscall === '' ? undefined : REFUSALS[code];
  return reason === undefined ? undefined : `${path ?? 'A file'}: ${reason} (${syscall}, ${code})`;
}

/** True for what an aborted AbortSignal makes of running work. */
function isAbort(thrown: unknown): boolean {
  return thrown instanceof Error && thrown.name === 'AbortError';
}

export function problemText(problem: Problem, { paint, width, github }: ErrorStyle): string {
  const { where } = problem;
  const [message = '', hint, frame] = [problem.message, problem.hint, problem.frame].map(
    (text) => text && printable(text),
  );
  const label = 'error: ';
  const head = wrap(message, width, label, '  ').map((line, index) =>
    index === 0 ? paint('red', label.trimEnd()) + line.slice(label.length - 1) : line,
  );
  const place =
    where === undefined ? undefined : [where.file, where.line, where.column].filter((part) => part !== undefined);
  const lines = [
    ...head,
    ...(place === undefined ? [] : [`  ${paint('dim', '-->')} ${paint('cyan', place.join(':'))}`]),
    ...(frame === undefined ? [] : frame.split('\n').map((line) => `  ${line.slice(0, Math.max(width - 2, 40))}`)),
    ...(hint === undefined ? [] : wrap(hint, width, '  ')),
  ];
  if (github === true) lines.push(annotation(message, where));
  return `${lines.join('\n')}\n`;
}

function annotation(message: string, where: Problem['where']): string {
  const parameters = [
    ...(where === undefined ? [] : [`file=${where.file.replaceAll(',', '%2C').replaceAll(':', '%3A')}`]),
    ...(where?.line === undefined ? [] : [`line=${where.line}`]),
    ...(where?.column === undefined ? [] : [`col=${where.column}`]),
  ];
  return `::error${parameters.length === 0 ? '' : ` ${parameters.join(',')}`}::${escapeCommand(message)}`;
}
