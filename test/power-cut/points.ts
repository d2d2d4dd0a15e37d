import { createHash } from 'node:crypto';
import type { Entry, Logged } from './write-log.ts';

/** Where the power goes: after a flush, or between two with only some of the sectors written since then. */
export type Point = {
  /** The flush that was done last; 0 is a card that was never started. */
  readonly flush: number;
  /** The number of its random choice; none: nothing after the flush is on the card. */
  readonly subset?: number;
};

export const pointName = ({ flush, subset }: Point): string => `${flush}${subset === undefined ? '' : `.${subset}`}`;

/** The requests between flushes: the first element is what was done before the first one. */
export function epochs(log: readonly Logged[]): Logged[][] {
  const found: Logged[][] = [[]];
  for (const one of log) {
    found.at(-1)?.push(one);
    if (one.entry.kind === 'flush') found.push([]);
  }
  return found;
}

/**
 * Which sectors of the requests after a flush reached the card, at random but always the same for a seed. One choice in
 * four keeps whole requests or none, as cards with larger pages do; the others decide for each sector.
 */
export function chooser(seed: string, point: Point): (entry: Entry) => ((sector: number) => boolean) | undefined {
  const next = generator(`${seed}/${pointName(point)}`);
  const whole = next() < 0.25;
  const share = next();
  return (entry) => {
    if (entry.kind === 'flush') return undefined;
    const all = next() < share;
    if (whole || entry.kind === 'discard') return () => all;
    return () => next() < share;
  };
}

/** Numbers from 0 to 1, from a text: a hash in counter mode. */
export function generator(seed: string): () => number {
  let block = Buffer.alloc(0);
  let count = 0;
  let at = 0;
  return () => {
    if (at + 4 > block.length) {
      block = createHash('sha256').update(`${seed}/${count}`).digest();
      count += 1;
      at = 0;
    }
    at += 4;
    return block.readUInt32LE(at - 4) / 2 ** 32;
  };
}
