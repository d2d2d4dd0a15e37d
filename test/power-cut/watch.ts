import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import type { Seen } from './marks.ts';

/** Milliseconds between two looks: a step that writes one small file takes tens of them in an emulated guest. */
const CLOSELY = 5;

/**
 * Looks at the console and the log of writes of a guest until what it returns is called, and tells when one of them has
 * grown. At once, without giving way to anything else between the two: what a step wrote after its line was seen is
 * behind its mark. A mark is never too early, so that nothing counts as shown before it was.
 */
export function watchClosely(serial: string, log: string, tell: (seen: Omit<Seen, 'seconds'>) => void): () => void {
  const [said, written] = [openSync(serial, 'r'), openSync(log, 'r')];
  let console = '';
  let logBytes = 0;
  const look = (): void => {
    // A byte is a character.
    const fresh = Buffer.alloc(Math.max(0, fstatSync(said).size - console.length));
    const length = readSync(said, fresh, 0, fresh.length, console.length);
    const { size } = fstatSync(written);
    if (length === 0 && size === logBytes) return;
    console += fresh.toString('latin1', 0, length);
    logBytes = size;
    tell({ console, logBytes });
  };
  const timer = setInterval(look, CLOSELY);
  return () => {
    clearInterval(timer);
    closeSync(said);
    closeSync(written);
  };
}
