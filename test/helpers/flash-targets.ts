import type { Target } from '../../src/flash/target.ts';

/** A card in memory; `bytes` is what is on it. */
export interface MemoryTarget extends Target {
  readonly bytes: Uint8Array;
  /** Offset and length of each write, in order. */
  readonly writes: readonly (readonly [offset: number, length: number])[];
}

const failure = (code: string): Error => Object.assign(new Error(code), { code });

export interface Faults {
  /** What it can really hold: addresses behind it start again at 0. */
  readonly wrapsAt?: number;
  /** Writes from here on are acknowledged and forgotten. */
  readonly dropsFrom?: number;
  /** The number of the write that is forgotten, from 0. */
  readonly dropsWrite?: number;
  /** The number of the write from which everything fails, as when the card is pulled. */
  readonly pulledAtWrite?: number;
  /** The number of the read that fails. */
  readonly failsAtRead?: number;
  readonly code?: string;
  /** Milliseconds that each transfer takes. */
  readonly slow?: number;
}

/** A card that behaves, or misbehaves in one way. It starts out full of `was`, as a used one does. */
export function memoryTarget(size: number, faults: Faults = {}, was = 0xa5): MemoryTarget {
  const bytes = new Uint8Array(size).fill(was);
  const writes: (readonly [number, number])[] = [];
  let reads = 0;
  const code = faults.code ?? 'EIO';
  const pause = async (): Promise<void> => {
    if (faults.slow !== undefined) await new Promise((resolve) => setTimeout(resolve, faults.slow));
  };
  const place = (at: number): number => (faults.wrapsAt === undefined ? at : at % faults.wrapsAt);
  const pulled = (): boolean => faults.pulledAtWrite !== undefined && writes.length > faults.pulledAtWrite;
  return {
    name: '/dev/test',
    size,
    direct: true,
    bytes,
    writes,
    async read(into, offset) {
      await pause();
      if (pulled() || reads++ === faults.failsAtRead) throw failure(code);
      for (let at = 0; at < into.length; at += 512) {
        const from = place(offset + at);
        into.set(bytes.subarray(from, from + Math.min(512, into.length - at)), at);
      }
    },
    async write(data, offset) {
      await pause();
      const number = writes.push([offset, data.length]) - 1;
      if (pulled()) throw failure(code);
      if (number === faults.dropsWrite) return;
      for (let at = 0; at < data.length; at += 512) {
        if (faults.dropsFrom !== undefined && offset + at >= faults.dropsFrom) return;
        bytes.set(data.subarray(at, at + 512), place(offset + at));
      }
    },
    flush: async () => {
      if (pulled()) throw failure(code);
    },
    close: async () => undefined,
  };
}
