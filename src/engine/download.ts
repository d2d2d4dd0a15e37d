import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream, existsSync } from 'node:fs';
import { readdir, rename, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import { type Problem, StepError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { Cache } from '../host/cache.ts';
import { sha256File } from '../host/sha256.ts';
import type { Mirrors } from './archive.ts';
import type { LockedPackage } from './lock.ts';

const PARALLEL = 6;
const TRIES = 3;
const TELL_EVERY_MS = 200;

/** The time that a package file in the cache has: it was checked then, and anything that writes to it changes it. */
const CHECKED = new Date('2000-01-01T00:00:00Z');

/** Where a package file is, or will be, in the cache. */
export const packageFile = (cache: Cache, { sha256 }: LockedPackage): string => join(cache.packages, `${sha256}.deb`);

interface Job {
  readonly cache: Cache;
  readonly mirrors: Mirrors;
  readonly signal: AbortSignal | undefined;
  /** Told how many bytes have come. */
  readonly count: (bytes: number) => void;
}

/**
 * Fetches what the cache lacks, several at once, and checks size and SHA-256 of each; a file appears in the cache only
 * when it is right, and what an interrupted download left is gone on with. Without anything to fetch the network is not
 * touched, and `mirrors` not asked for.
 * @throws StepError naming every package that could not be had.
 */
export async function download(
  cache: Cache,
  packages: readonly LockedPackage[],
  mirrors: () => Promise<Mirrors>,
  log: Log,
  signal?: AbortSignal,
): Promise<void> {
  const wanted = new Map(packages.map((one) => [one.sha256, one]));
  const queue: LockedPackage[] = [];
  for (const one of wanted.values()) if (!(await isWhole(cache, one, log))) queue.push(one);
  if (queue.length === 0) return;
  const total = queue.reduce((sum, one) => sum + one.size, 0);
  let done = 0;
  let told = 0;
  const tell = (): void =>
    log({ kind: 'progress', step: 'download', done: Math.min(done, total), total, unit: 'bytes' });
  const job: Job = {
    cache,
    mirrors: await mirrors(),
    signal,
    count: (bytes) => {
      done += bytes;
      if (Date.now() - told < TELL_EVERY_MS) return;
      told = Date.now();
      tell();
    },
  };
  await adoptLeftovers(cache);
  const problems: Problem[] = [];
  const worker = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      signal?.throwIfAborted();
      const problem = await fetchPackage(job, next);
      if (problem !== undefined) problems.push(problem);
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, worker));
  tell();
  if (problems.length > 0) throw new StepError(problems);
}

/** Marks a package file as checked, and as used now. */
const mark = (file: string): Promise<void> => utimes(file, new Date(), CHECKED);

/** Whether the cache has the package, as it was when it was checked; a file that something wrote to is checked again. */
async function isWhole(cache: Cache, one: LockedPackage, log: Log): Promise<boolean> {
  const file = packageFile(cache, one);
  const found = await stat(file).catch(() => undefined);
  if (found === undefined) return false;
  const untouched = found.size === one.size && found.mtimeMs === CHECKED.getTime();
  if (untouched || (found.size === one.size && (await sha256File(file)) === one.sha256)) {
    await mark(file);
    return true;
  }
  log({
    kind: 'warning',
    text: `The package file of ${one.name} ${one.version} in the cache is damaged: it is fetched again.`,
  });
  await rm(file, { force: true });
  return false;
}

const partialFile = (cache: Cache, one: LockedPackage): string => `${packageFile(cache, one)}.${process.pid}.partial`;

/** Takes over what processes that are gone had begun to fetch. */
async function adoptLeftovers(cache: Cache): Promise<void> {
  for (const name of await readdir(cache.packages)) {
    const [, file, pid] = /^(.*\.deb)\.(\d+)\.partial$/.exec(name) ?? [];
    if (file === undefined || pid === String(process.pid) || existsSync(`/proc/${pid}`)) continue;
    await rename(join(cache.packages, name), join(cache.packages, `${file}.${process.pid}.partial`)).catch(
      () => undefined,
    );
  }
}

async function fetchPackage(job: Job, one: LockedPackage): Promise<Problem | undefined> {
  const partial = partialFile(job.cache, one);
  let reason = '';
  for (let attempt = 1; attempt <= TRIES; attempt += 1) {
    try {
      const found = await fetchTo(job, one, partial);
      if (found.sha256 === one.sha256 && found.size === one.size) {
        await mark(partial);
        await rename(partial, packageFile(job.cache, one));
        return undefined;
      }
      reason = `the mirror has other content: ${found.size} bytes with SHA-256 ${found.sha256}`;
      await rm(partial, { force: true });
    } catch (error) {
      job.signal?.throwIfAborted();
      const cause = error instanceof Error ? (error.cause as Error | undefined) : undefined;
      reason = error instanceof Error ? String(cause?.message ?? error.message) : String(error);
      if (/ENOSPC/.test(reason)) break;
    }
  }
  await rm(partial, { force: true });
  return {
    message: `${one.name} ${one.version} (${one.architecture}) could not be fetched: ${reason}`,
    hint: /ENOSPC/.test(reason)
      ? 'The disk is full: make room, or set AMSLPR_CACHE to a folder on another disk.'
      : 'When the mirror has a newer version only, refresh the lock with the verb `lock`.',
  };
}

/** Fetches into `file`, from where an earlier attempt stopped if the server can; the digest is of the whole. */
async function fetchTo(job: Job, one: LockedPackage, file: string): Promise<{ sha256: string; size: number }> {
  const { signal, count } = job;
  const mirror = job.mirrors[one.archive];
  if (mirror === undefined) throw new Error(`the archive ${one.archive} is not known`);
  const hash = createHash('sha256');
  const before = (await stat(file).catch(() => undefined))?.size ?? 0;
  const from = before < one.size ? before : 0;
  const { source, start } = await openSource(mirror, one, from, signal);
  let size = start;
  if (start > 0) for await (const chunk of createReadStream(file, { end: start - 1 })) hash.update(chunk as Buffer);
  count(start);
  const measure = new Transform({
    transform(chunk: Buffer, _encoding, next) {
      hash.update(chunk);
      size += chunk.length;
      count(chunk.length);
      next(null, chunk);
    },
  });
  const target = createWriteStream(file, start > 0 ? { flags: 'r+', start } : {});
  await pipeline(source, measure, target, signal === undefined ? {} : { signal });
  return { sha256: hash.digest('hex'), size };
}

/** The package's bytes from `start` on, which is `from` or 0. */
async function openSource(
  mirror: string,
  one: LockedPackage,
  from: number,
  signal: AbortSignal | undefined,
): Promise<{ source: Readable; start: number }> {
  const local = /^(?:file|copy):(?:\/\/)?(\/.*)$/.exec(mirror);
  if (local !== null) return { source: createReadStream(join(local[1] ?? '', one.path)), start: 0 };
  const url = `${mirror}/${one.path.split('/').map(encodeURIComponent).join('/')}`;
  const response = await fetch(url, {
    headers: from > 0 ? { range: `bytes=${from}-` } : {},
    ...(signal === undefined ? {} : { signal }),
  });
  if (!response.ok || response.body === null) {
    throw new Error(`the server answers ${response.status} ${response.statusText}`);
  }
  const source = Readable.fromWeb(response.body as ReadableStream<Uint8Array>);
  return { source, start: response.status === 206 ? from : 0 };
}
