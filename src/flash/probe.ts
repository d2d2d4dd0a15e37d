import { createHash, randomBytes } from 'node:crypto';
import { StepError } from '../core/errors.ts';
import { alignedBuffer, BLOCK } from './aligned.ts';
import { gigabytes } from './devices.ts';
import { endOf, type Range } from './ranges.ts';
import { ioError, type Target } from './target.ts';

/** Blocks written beyond the image to find out whether the card has the room that it claims. */
export interface Probe {
  readonly nonce: Buffer;
  /** Offsets, ascending. */
  readonly places: readonly number[];
}

const EVEN = 32;
const MAGIC = 'AMSLPR capacity probe\n';

/**
 * Where to try: the ends, an even grid (cards that wrap do so at a round part of what they claim) and powers of two
 * behind the first place. All in `free`, on the grid of direct I/O.
 */
export function planProbe(free: readonly Range[], size: number): Probe {
  const base = Math.ceil((free[0]?.start ?? size) / BLOCK) * BLOCK;
  const wanted = new Set<number>([base, Math.floor((size - BLOCK) / BLOCK) * BLOCK]);
  for (const range of free) wanted.add(Math.floor((endOf(range) - BLOCK) / BLOCK) * BLOCK);
  for (let part = 1; part < EVEN; part++) wanted.add(base + Math.floor((part * size) / EVEN / BLOCK) * BLOCK);
  for (let step = 1 << 20; base + step < size; step *= 2) wanted.add(base + step);
  const inFree = (place: number): boolean =>
    free.some((range) => range.start <= place && place + BLOCK <= endOf(range));
  return { nonce: randomBytes(32), places: [...wanted].filter(inFree).sort((a, b) => a - b) };
}

function marker(probe: Probe, place: number, into: Uint8Array): void {
  const text = `${MAGIC}${probe.nonce.toString('hex')}\n${place}\n`;
  let seed = createHash('sha256').update(text).digest();
  for (let at = 0; at < BLOCK; at += seed.length) {
    into.set(seed, at);
    seed = createHash('sha256').update(seed).digest();
  }
  into.set(Buffer.from(text));
}

/** Fills all but the first block of an interim head, so that what lands there by mistake is seen. */
export function markHead(probe: Probe, head: Uint8Array): void {
  for (let at = BLOCK; at + BLOCK <= head.length; at += BLOCK) marker(probe, at, head.subarray(at, at + BLOCK));
}

/** @throws StepError when something else was written over an interim head. */
export async function checkMarkedHead(target: Target, probe: Probe, head: Uint8Array): Promise<void> {
  const found = alignedBuffer(head.length);
  await target.read(found, 0).catch((error: unknown) => {
    throw ioError(error, target, 'reading back', 0);
  });
  if (Buffer.compare(found, head) === 0) return;
  for (let at = 0; at < head.length; at += BLOCK) {
    const place = placeOf(probe, found.subarray(at, at + BLOCK));
    if (place !== undefined && place !== at) throw wraps(target, Math.abs(place - at));
  }
  throw wraps(target);
}

/** The place for which a block was written, if it is one of this probe's. */
export function placeOf(probe: Probe, block: Uint8Array): number | undefined {
  const text = Buffer.from(block.subarray(0, 160)).toString('latin1');
  const prefix = `${MAGIC}${probe.nonce.toString('hex')}\n`;
  return text.startsWith(prefix) ? Number(text.slice(prefix.length).split('\n')[0]) : undefined;
}

export async function writeProbe(target: Target, probe: Probe): Promise<void> {
  const block = alignedBuffer(BLOCK);
  for (const place of probe.places) {
    marker(probe, place, block);
    await target.write(block, place).catch((error: unknown) => {
      throw ioError(error, target, 'trying its capacity', place);
    });
  }
}

/** `most` is what the card can have at most, in bytes: distances between a block and where it landed are multiples of it. */
export function wraps(target: Target, most?: number): StepError {
  const room = most === undefined ? '' : `, at most ${gigabytes(most)}`;
  return new StepError({
    message: `${target.name} claims ${gigabytes(target.size)} but has less${room}: what is written further back lands at its start again`,
    hint: 'The card is a fake. It holds no bootable system now; do not use it.',
  });
}

export const drops = (target: Target, offset: number): StepError =>
  new StepError({
    message: `${target.name} does not keep what is written to it: writes are dropped (at ${Math.floor(offset / 1048576)} MiB of ${gigabytes(target.size)})`,
    hint: 'Worn-out cards turn read-only without saying so, and fake ones lose what is behind their real size. Use another card.',
  });

/** Reads the markers back. @throws StepError that names what is wrong with the card. */
export async function checkProbe(target: Target, probe: Probe): Promise<void> {
  const [found, expected] = [alignedBuffer(BLOCK), alignedBuffer(BLOCK)];
  for (const place of probe.places) {
    await target.read(found, place).catch((error: unknown) => {
      throw ioError(error, target, 'trying its capacity', place);
    });
    marker(probe, place, expected);
    if (Buffer.compare(found, expected) === 0) continue;
    const other = placeOf(probe, found);
    throw other === undefined ? drops(target, place) : wraps(target, Math.abs(other - place));
  }
}

/** Leaves zeros where the markers were. */
export async function clearProbe(target: Target, probe: Probe): Promise<void> {
  const zeros = alignedBuffer(BLOCK);
  for (const place of probe.places) {
    await target.write(zeros, place).catch((error: unknown) => {
      throw ioError(error, target, 'clearing up', place);
    });
  }
}
