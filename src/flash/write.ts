import { createHash, type Hash } from 'node:crypto';
import { StepError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import { alignedBuffer, BLOCK } from './aligned.ts';
import type { HashName } from './bmap.ts';
import { diagnose } from './diagnose.ts';
import { chunks, readParts, writeParts } from './pipeline.ts';
import {
  checkMarkedHead,
  checkProbe,
  clearProbe,
  drops,
  markHead,
  type Probe,
  planProbe,
  writeProbe,
} from './probe.ts';
import { progress } from './progress.ts';
import { endOf, type Range } from './ranges.ts';
import type { ImageReader, ImageSource } from './source.ts';
import { ioError, type Target } from './target.ts';
import type { Segment, WritePlan } from './write-plan.ts';

export interface WriteJob {
  readonly source: ImageSource;
  readonly target: Target;
  readonly plan: WritePlan;
  /** Makes what the head is while the card is not whole yet (nothing that boots) of an empty one, in place. */
  readonly interim?: (head: Uint8Array) => void;
  /** Changes the image's head before it goes onto the card, in place: a partition that is kept. */
  readonly adjust?: (head: Uint8Array) => void;
  /** Called when everything but the head is there and was found right: what has to be on a card before it boots. */
  readonly finish?: () => Promise<void>;
  readonly log: Log;
  readonly signal?: AbortSignal;
}

export interface WriteResult {
  /** Bytes written, and as many read back. */
  readonly bytes: number;
  readonly writeSeconds: number;
  readonly verifySeconds: number;
}

const HASH: HashName = 'sha256';

/** Writes the start of the card and sees whether it is there: the cheapest way to find one that ignores writes. */
async function writeHead(target: Target, head: Uint8Array): Promise<void> {
  try {
    // The partition table goes last of all: a power cut between the two leaves a card without one.
    if (head.length > BLOCK) {
      await target.write(head.subarray(BLOCK), BLOCK);
      await target.flush();
    }
    await target.write(head.subarray(0, BLOCK), 0);
    await target.flush();
    const found = alignedBuffer(head.length);
    await target.read(found, 0);
    if (Buffer.compare(found, head) !== 0) throw drops(target, 0);
  } catch (error) {
    throw ioError(error, target, 'writing its start', 0);
  }
}

interface BodyPart extends Range {
  readonly segment: Segment;
}

function* bodyParts({ plan, signal }: WriteJob): Generator<BodyPart> {
  for (const segment of plan.body) {
    for (const part of chunks(segment)) {
      signal?.throwIfAborted();
      yield { ...part, segment };
    }
  }
}

/** Hashes of what was read for segments whose checksum no map gives. */
type Sums = Map<Segment, Hash>;

const given = (segment: Segment): string | undefined => (segment.kind === 'data' ? segment.of.checksum : undefined);

async function writeBody(job: WriteJob, reader: ImageReader, sums: Sums): Promise<void> {
  const { target, plan, log } = job;
  const report = progress(log, 'Write', plan.bytes - plan.headSize);
  const fill = async (part: BodyPart, into: Uint8Array): Promise<void> => {
    const { segment } = part;
    if (segment.kind === 'data') await reader.read(into, part.start);
    else into.fill(0);
    if (given(segment) !== undefined) return;
    const sum = sums.get(segment) ?? createHash(HASH);
    sums.set(segment, sum.update(into));
  };
  await writeParts(target, bodyParts(job), (part, into) => fill(part as BodyPart, into), report);
}

async function verifyBody(job: WriteJob, head: Uint8Array, sums: Sums, probe: Probe): Promise<void> {
  const { source, target, plan, log } = job;
  const report = progress(log, 'Verify', plan.bytes - plan.headSize);
  let sum: Hash | undefined;
  await readParts(target, bodyParts(job), async (part, bytes) => {
    const { segment } = part as BodyPart;
    const checksum = given(segment);
    if (part.start === segment.start) {
      sum = createHash(checksum === undefined ? HASH : source.map.hash);
      // The map's checksum starts where its range does, which may be in the head.
      if (checksum !== undefined && segment.kind === 'data') sum.update(head.subarray(segment.of.start, segment.start));
    }
    sum?.update(bytes);
    report(part.length);
    if (endOf(part) !== endOf(segment)) return;
    const expected = checksum ?? sums.get(segment)?.digest('hex');
    if (sum?.digest('hex') !== expected) throw await diagnose({ source, target, segment, probe });
  });
}

/** Ranges that lie in the head altogether are checked before anything is written. */
function checkHead(source: ImageSource, head: Uint8Array): void {
  for (const range of source.map.ranges) {
    if (range.checksum === undefined || endOf(range) > head.length) continue;
    const found = createHash(source.map.hash)
      .update(head.subarray(range.start, endOf(range)))
      .digest('hex');
    if (found === range.checksum) continue;
    throw new StepError({
      message: `${source.path} is damaged: its bytes ${range.start} to ${endOf(range)} are not what its block map says`,
      hint: 'Nothing was written. Fetch the image again, or move the map away when it is of another build.',
    });
  }
}

async function step(log: Log, name: string, work: () => Promise<void>): Promise<number> {
  const start = performance.now();
  const seconds = (): number => (performance.now() - start) / 1000;
  log({ kind: 'step-start', step: name });
  try {
    await work();
  } catch (error) {
    log({ kind: 'step-end', step: name, seconds: seconds(), ok: false });
    throw error;
  }
  log({ kind: 'step-end', step: name, seconds: seconds(), ok: true });
  return seconds();
}

/**
 * Writes an image and reads it back. The first MiB is emptied first and written last, after everything else was found to
 * be right, so a card that was interrupted, pulled or found wrong has no partition table and boots nowhere.
 * @throws StepError naming what is wrong: the card, its reader or the image.
 */
export async function writeImage(job: WriteJob): Promise<WriteResult> {
  const { source, target, plan, log } = job;
  const head = alignedBuffer(plan.headSize);
  const interim = alignedBuffer(plan.headSize);
  const sums: Sums = new Map();
  const probe = planProbe(plan.free, target.size);
  const writeSeconds = await step(log, 'Write', async () => {
    await source.withReader(async (reader) => {
      await reader.read(head, 0);
      checkHead(source, head);
      job.interim?.(interim);
      markHead(probe, interim);
      await writeHead(target, interim);
      await writeBody(job, reader, sums);
    });
    await writeProbe(target, probe);
    await target.flush().catch((error: unknown) => {
      throw ioError(error, target, 'waiting for it to finish writing');
    });
  });
  if (!target.direct) {
    log({ kind: 'warning', text: `${target.name} is read back through this machine's memory: it has no direct I/O` });
  }
  const verifySeconds = await step(log, 'Verify', async () => {
    await verifyBody(job, head, sums, probe);
    await checkProbe(target, probe);
    await checkMarkedHead(target, probe, interim);
    await clearProbe(target, probe);
    await job.finish?.();
    job.signal?.throwIfAborted();
    job.adjust?.(head);
    await writeHead(target, head);
  });
  return { bytes: plan.bytes, writeSeconds, verifySeconds };
}
