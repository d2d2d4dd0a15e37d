import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Log } from '../core/log.ts';

/**
 * Tells each step how long it took last time, and keeps how long it takes now, in `file` (JSON, step to seconds). A file
 * that cannot be read or written costs no more than the hint: builds do not fail for it.
 */
export function rememberTimes(log: Log, file: string): Log {
  let times: Readonly<Record<string, number>> | undefined;
  return (entry) => {
    if (entry.kind === 'step-start' && entry.last === undefined) {
      times ??= readTimes(file);
      const last = times[entry.step];
      log(last === undefined ? entry : { ...entry, last });
      return;
    }
    if (entry.kind === 'step-end' && entry.ok) {
      times = { ...readTimes(file), [entry.step]: Math.round(entry.seconds * 10) / 10 };
      writeTimes(file, times);
    }
    log(entry);
  };
}

function readTimes(file: string): Record<string, number> {
  try {
    const content: unknown = JSON.parse(readFileSync(file, 'utf8'));
    const pairs = Object.entries(content ?? {}).filter(([, seconds]) => Number.isFinite(seconds));
    return Object.fromEntries(pairs) as Record<string, number>;
  } catch {
    return {};
  }
}

function writeTimes(file: string, times: Readonly<Record<string, number>>): void {
  try {
    mkdirSync(dirname(file), { recursive: true });
    const partial = `${file}.${process.pid}`;
    writeFileSync(partial, `${JSON.stringify(times, null, 1)}\n`);
    renameSync(partial, file);
  } catch {}
}
