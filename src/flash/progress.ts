import type { Log } from '../core/log.ts';

const EVERY_MS = 200;

/** Counts bytes of a step and tells the log a few times a second; the renderer makes MB/s and time left of it. */
export function progress(log: Log, step: string, total: number): (bytes: number) => void {
  let [done, last] = [0, 0];
  return (bytes) => {
    done += bytes;
    const now = performance.now();
    if (now - last < EVERY_MS && done < total) return;
    last = now;
    log({ kind: 'progress', step, done, total, unit: 'bytes' });
  };
}
