import { createHash } from 'node:crypto';
import { StepError } from '../core/errors.ts';
import { alignedBuffer, BLOCK } from './aligned.ts';
import { chunks } from './pipeline.ts';
import { drops, type Probe, placeOf, wraps } from './probe.ts';
import type { Range } from './ranges.ts';
import type { ImageSource } from './source.ts';
import { ioError, type Target } from './target.ts';
import type { Segment } from './write-plan.ts';

export interface Mismatch {
  readonly source: ImageSource;
  readonly target: Target;
  /** The run whose checksum was wrong when it was read back. */
  readonly segment: Segment;
  readonly probe: Probe;
}

interface BadBlock {
  readonly offset: number;
  readonly found: Uint8Array;
}

const isEmpty = (block: Uint8Array): boolean => block.every((byte) => byte === 0);
const blockAt = (bytes: Uint8Array, at: number): Uint8Array => bytes.subarray(at, at + BLOCK);

/** The first blocks of the run that are not what the image has there: the first of all, and the first with content. */
async function badBlocks({ source, target, segment }: Mismatch): Promise<BadBlock[]> {
  const bad: BadBlock[] = [];
  const look = async (part: Range, expected: Uint8Array): Promise<void> => {
    const found = alignedBuffer(part.length);
    await target.read(found, part.start);
    for (let at = 0; at < part.length && bad.length < 2; at += BLOCK) {
      const block = blockAt(found, at);
      if (Buffer.compare(block, blockAt(expected, at)) === 0 || (bad.length > 0 && isEmpty(block))) continue;
      bad.push({ offset: part.start + at, found: block.slice() });
    }
  };
  if (segment.kind === 'zero') {
    for (const part of chunks(segment)) await look(part, new Uint8Array(part.length));
    return bad;
  }
  await source.withReader(async (reader) => {
    for (const part of chunks(segment)) {
      const expected = new Uint8Array(part.length);
      await reader.read(expected, part.start);
      if (bad.length < 2) await look(part, expected);
    }
  });
  return bad;
}

/** Where behind an offset a block's content is in the image, if anywhere. */
async function homeOf(source: ImageSource, wanted: Uint8Array, behind: number): Promise<number | undefined> {
  const key = createHash('sha256').update(wanted).digest('hex');
  let home: number | undefined;
  await source.withReader(async (reader) => {
    for (const range of source.map.ranges) {
      for (const part of chunks(range)) {
        if (home !== undefined || part.start + part.length <= behind) continue;
        const bytes = new Uint8Array(part.length);
        await reader.read(bytes, part.start);
        for (let at = 0; home === undefined && at + BLOCK <= part.length; at += BLOCK) {
          // The first byte rules out nearly all blocks before any is hashed.
          if (bytes[at] !== wanted[0] || part.start + at <= behind) continue;
          if (createHash('sha256').update(blockAt(bytes, at)).digest('hex') === key) home = part.start + at;
        }
      }
    }
  });
  return home;
}

/** Finds out why what was read back is wrong. Never throws but for I/O errors: the finding is returned. */
export async function diagnose(mismatch: Mismatch): Promise<StepError> {
  const { source, target, segment, probe } = mismatch;
  const bad = await badBlocks(mismatch).catch((error: unknown) => {
    throw ioError(error, target, 'reading back', segment.start);
  });
  const [first] = bad;
  if (first === undefined) {
    return new StepError({
      message: `${source.path} is damaged: its bytes ${segment.start} to ${segment.start + segment.length} are not what its block map says`,
      hint: 'The card holds no bootable system now. Fetch the image again, then flash again.',
    });
  }
  for (const { offset, found } of bad) {
    const other = placeOf(probe, found) ?? (isEmpty(found) ? undefined : await homeOf(source, found, offset));
    if (other !== undefined && other !== offset) return wraps(target, Math.abs(other - offset));
  }
  return drops(target, first.offset);
}
