import { alignedBuffer } from './aligned.ts';
import type { Range } from './ranges.ts';
import { ioError, type Target } from './target.ts';

/** Bytes of one transfer, and the grid that transfers keep to: the usual allocation unit of SD cards. */
export const CHUNK = 4 * 1024 * 1024;
/** Transfers in flight: one that moves, one that waits for the device, one that is filled or hashed. */
const DEPTH = 3;

/** Cuts a run of bytes at the multiples of CHUNK. */
export function* chunks(range: Range): Generator<Range> {
  const end = range.start + range.length;
  for (let at = range.start; at < end; ) {
    const next = Math.min(end, (Math.floor(at / CHUNK) + 1) * CHUNK);
    yield { start: at, length: next - at };
    at = next;
  }
}

const settled = async (promises: Iterable<Promise<unknown>>): Promise<void> =>
  void (await Promise.allSettled(promises));

/**
 * Writes `parts` in order, a few at a time. `fill` puts a part's bytes into the buffer it is given; it is called in
 * order, one at a time, while earlier parts are on their way. All transfers have ended when this returns or throws.
 */
export async function writeParts(
  target: Target,
  parts: Iterable<Range>,
  fill: (part: Range, into: Uint8Array) => Promise<void>,
  onDone: (bytes: number) => void,
): Promise<void> {
  const idle = Array.from({ length: DEPTH }, () => alignedBuffer(CHUNK));
  const busy = new Map<Promise<unknown>, Uint8Array>();
  let failure: { readonly error: unknown } | undefined;
  const start = (buffer: Uint8Array, part: Range): void => {
    const done = target.write(buffer.subarray(0, part.length), part.start).then(
      () => onDone(part.length),
      (error: unknown) => {
        failure ??= { error: ioError(error, target, 'writing', part.start) };
      },
    );
    busy.set(done, buffer);
    void done.then(() => {
      busy.delete(done);
      idle.push(buffer);
    });
  };
  try {
    for (const part of parts) {
      while (idle.length === 0 && failure === undefined) await Promise.race(busy.keys());
      // The buffer comes back one turn after its transfer.
      const buffer = idle.pop();
      if (failure !== undefined || buffer === undefined) break;
      await fill(part, buffer.subarray(0, part.length));
      start(buffer, part);
    }
  } finally {
    await settled(busy.keys());
  }
  if (failure !== undefined) throw failure.error;
}

/** Reads `parts` in order, a few ahead of `use`, which is called in order and must not keep the bytes. */
export async function readParts(
  target: Target,
  parts: Iterable<Range>,
  use: (part: Range, bytes: Uint8Array) => Promise<void> | void,
): Promise<void> {
  const idle = Array.from({ length: DEPTH }, () => alignedBuffer(CHUNK));
  const queue: { readonly part: Range; readonly buffer: Uint8Array; readonly done: Promise<unknown> }[] = [];
  const iterator = parts[Symbol.iterator]();
  const ahead = (): void => {
    for (let buffer = idle.pop(); buffer !== undefined; buffer = idle.pop()) {
      const next = iterator.next();
      if (next.done === true) return;
      const bytes = buffer.subarray(0, next.value.length);
      const done = target.read(bytes, next.value.start);
      // Its failure is seen when its turn comes.
      done.catch(() => undefined);
      queue.push({ part: next.value, buffer, done });
    }
  };
  try {
    ahead();
    for (let first = queue.shift(); first !== undefined; first = queue.shift()) {
      const { part, buffer, done } = first;
      await done.catch((error: unknown) => {
        throw ioError(error, target, 'reading back', part.start);
      });
      await use(part, buffer.subarray(0, part.length));
      idle.push(buffer);
      ahead();
    }
  } finally {
    await settled(queue.map((entry) => entry.done));
  }
}
