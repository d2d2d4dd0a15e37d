import type { Log, LogEntry } from '../core/log.ts';
import { progressText } from './progress.ts';
import { oneLine, type Paint, secondsText, wrap } from './text.ts';

export interface Output {
  write(text: string): void;
  /** Columns of a terminal; 80 where nobody knows. */
  readonly width: number;
}

export interface LogOptions {
  readonly paint: Paint;
  /** Shows commands and everything that programs print. */
  readonly verbose?: boolean;
  /** Milliseconds; for tests. */
  readonly now?: () => number;
}

/** Says what a step did or will do in the one form that all renderers use. */
const lastText = (last: number | undefined): string => (last === undefined ? '' : ` (last time ${secondsText(last)})`);

/** For terminals: a line for each finished step, and below it one line that is rewritten while a step runs. */
export function terminalLog(out: Output, { paint, verbose = false, now = Date.now }: LogOptions): Log {
  let status = false;
  let drawn = 0;
  let head = '';
  const started = new Map<string, number>();
  const clear = (): void => {
    if (status) out.write('\r\x1b[2K');
    status = false;
  };
  const line = (text: string): void => {
    clear();
    out.write(`${text}\n`);
  };
  /** The cursor stays in the line, so it may not reach the last column: terminals differ in when they wrap. */
  const draw = (text: string, force = false): void => {
    if (!force && now() - drawn < 100) return;
    drawn = now();
    clear();
    out.write(paint('dim', oneLine(text, out.width - 1)));
    status = true;
  };
  return (entry) => {
    switch (entry.kind) {
      case 'step-start':
        head = `  ${entry.step}${lastText(entry.last)}`;
        draw(head, true);
        break;
      case 'step-end': {
        started.delete(entry.step);
        head = '';
        const mark = entry.ok ? paint('green', '✓') : paint('red', '✗');
        line(`${mark} ${entry.step} ${paint('dim', secondsText(entry.seconds))}`);
        break;
      }
      case 'progress': {
        const begin = started.get(entry.step) ?? now();
        started.set(entry.step, begin);
        draw(`  ${entry.step}: ${progressText(entry, (now() - begin) / 1000)}`);
        break;
      }
      case 'command':
        if (verbose) line(paint('dim', `  $ ${entry.argv.join(' ')}`));
        break;
      case 'output':
        if (verbose) {
          clear();
          out.write(entry.text);
        } else if (head !== '') {
          const last =
            entry.text
              .trimEnd()
              .split(/[\r\n]/)
              .at(-1) ?? '';
          if (last.trim() !== '') draw(`${head}: ${last.trim()}`);
        }
        break;
      case 'notice':
        for (const text of wrap(entry.text, out.width, '  ')) line(text);
        break;
      case 'warning':
        for (const text of warningLines(entry, out.width, paint)) line(text);
        break;
    }
  };
}

/** For files and pipes: whole lines only, progress every ten seconds. */
export function plainLog(out: Output, { paint, verbose = false, now = Date.now }: LogOptions): Log {
  const begun = new Map<string, { start: number; last: number }>();
  const line = (text: string): void => out.write(`${text}\n`);
  return (entry) => {
    switch (entry.kind) {
      case 'step-start':
        line(`> ${entry.step}${lastText(entry.last)}`);
        break;
      case 'step-end':
        begun.delete(entry.step);
        line(`${entry.ok ? 'ok' : 'FAILED'}: ${entry.step}, ${secondsText(entry.seconds)}`);
        break;
      case 'progress': {
        const times = begun.get(entry.step) ?? { start: now(), last: now() };
        begun.set(entry.step, times);
        if (now() - times.last < 10_000) break;
        times.last = now();
        line(`  ${entry.step}: ${progressText(entry, (now() - times.start) / 1000)}`);
        break;
      }
      case 'command':
        if (verbose) line(`  $ ${entry.argv.join(' ')}`);
        break;
      case 'output':
        if (verbose) out.write(entry.text);
        break;
      case 'notice':
        for (const text of wrap(entry.text, out.width, '  ')) line(text);
        break;
      case 'warning':
        for (const text of warningLines(entry, out.width, paint)) line(text);
        break;
    }
  };
}

/** For GitHub Actions: each step is a group that holds all output, warnings become annotations. */
export function githubLog(out: Output, options: LogOptions): Log {
  const plain = plainLog(out, { ...options, verbose: true });
  const open: string[] = [];
  return (entry) => {
    switch (entry.kind) {
      case 'step-start':
        // Groups do not nest: an inner step ends the outer one's group.
        if (open.length > 0) out.write('::endgroup::\n');
        open.push(entry.step);
        out.write(`::group::${escapeCommand(`${entry.step}${lastText(entry.last)}`)}\n`);
        break;
      case 'step-end':
        if (open.length > 0) out.write('::endgroup::\n');
        open.length = 0;
        plain(entry);
        break;
      case 'warning':
        out.write(`::warning::${escapeCommand(entry.text)}\n`);
        break;
      default:
        plain(entry);
    }
  };
}

/** The way GitHub's workflow commands take line breaks and percent signs. */
export const escapeCommand = (text: string): string =>
  text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A');

function warningLines(entry: Extract<LogEntry, { kind: 'warning' }>, width: number, paint: Paint): string[] {
  const label = 'warning: ';
  return wrap(entry.text, width, label, '  ').map((text, index) =>
    index === 0 ? paint('yellow', label.trimEnd()) + text.slice(label.length - 1) : text,
  );
}
