import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream, existsSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import { type Problem, StepError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { Cache } from '../host/cache.ts';
import type { Mirrors } from './archive.ts';
import type { LockedPackage } from './lock.ts';

const PARALLEL = 6;
const TRIES = 3;

/** Where a package file is, or will be, in the cache. */
export const packageFile = (cache: Cache, { sha256 }: LockedPackage): string => join(cache.packages, `${sha256}.deb`);

/**
 * Fetches what the cache lacks, several at once, and checks size and SHA-256 of each; a file appears in the cache only
 * when it is right. Without anything to fetch the network is not touched, and `mirrors` not asked for.
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
  const queue = [...wanted.values()].filter((one) => !existsSync(packageFile(cache, one)));
  if (queue.length === 0) return;
  const places = await mirrors();
  const total = queue.reduce((sum, one) => sum + one.size, 0);
  const problems: Problem[] = [];
  let done = 0;
  const worker = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      signal?.throwIfAborted();
      const problem = await fetchPackage(cache, next, places, signal);
      if (problem !== undefined) problems.push(problem);
      done += next.size;
      log({ kind: 'progress', step: 'download', done, total, unit: 'bytes' });
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, worker));
  if (problems.length > 0) throw new StepError(problems);
}

async function fetchPackage(
  cache: Cache,
  one: LockedPackage,
  mirrors: Mirrors,
  signal: AbortSignal | undefined,
): Promise<Problem | undefined> {
  const target = packageFile(cache, one);
  const partial = `${target}.${process.pid}.partial`;
  const url = `${mirrors[one.archive]}/${one.path.split('/').map(encodeURIComponent).join('/')}`;
  let reason = '';
  for (let attempt = 1; attempt <= TRIES; attempt += 1) {
    try {
      const found = await fetchTo(url, one.path, mirrors[one.archive], partial, signal);
      if (found.sha256 === one.sha256 && found.size === one.size) {
        await rename(partial, target);
        return undefined;
      }
      reason = `the mirror has other content: ${found.size} bytes with SHA-256 ${found.sha256}`;
    } catch (error) {
      signal?.throwIfAborted();
      reason =
        error instanceof Error ? String((error.cause as Error | undefined)?.message ?? error.message) : String(error);
      if (/ENOSPC/.test(reason)) break;
    } finally {
      await rm(partial, { force: true });
    }
  }
  return {
    message: `${one.name} ${one.version} (${one.architecture}) could not be fetched: ${reason}`,
    hint: /ENOSPC/.test(reason)
      ? 'The disk is full: make room, or set AMSLPR_CACHE to a folder on another disk.'
      : 'When the mirror has a newer version only, refresh the lock with the verb `lock`.',
  };
}

async function fetchTo(
  url: string,
  path: string,
  mirror: string,
  file: string,
  signal: AbortSignal | undefined,
): Promise<{ sha256: string; size: number }> {
  const hash = createHash('sha256');
  let size = 0;
  const measure = new Transform({
    transform(chunk: Buffer, _encoding, next) {
      hash.update(chunk);
      size += chunk.length;
      next(null, chunk);
    },
  });
  const local = /^(?:file|copy):(?:\/\/)?(\/.*)$/.exec(mirror);
  const options = signal === undefined ? {} : { signal };
  let source: Readable;
  if (local !== null) source = createReadStream(join(local[1] ?? '', path));
  else {
    const response = await fetch(url, options);
    if (!response.ok || response.body === null)
      throw new Error(`the server answers ${response.status} ${response.statusText}`);
    source = Readable.fromWeb(response.body as ReadableStream<Uint8Array>);
  }
  await pipeline(source, measure, createWriteStream(file), options);
  return { sha256: hash.digest('hex'), size };
}
