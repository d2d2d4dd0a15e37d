import { createWriteStream } from 'node:fs';
import { mkdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import { StepError, UserError } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import type { BaseSpec } from '../../core/plan.ts';
import type { Cache } from '../../host/cache.ts';
import { lockFile } from '../../host/flock.ts';
import { sha256File } from '../../host/sha256.ts';
import { sha256 as sha256Of } from '../../plan/digest.ts';

type ImageSpec = Extract<BaseSpec, { kind: 'raspios' }>;

export interface ImageFile {
  /** On this host. */
  readonly path: string;
  /** Of its bytes as they are, compressed or not. */
  readonly sha256: string;
}

const TRIES = 5;
const TELL_EVERY_MS = 200;
/** An image that is larger is none; a server that never ends must not fill the disk. */
const MAX_BYTES = 32 * 1024 ** 3;
/** A server that sends nothing for so long is given up; what came before is kept. */
const SILENCE_MS = 60_000;

export const basesFolder = (cache: Cache): string => join(cache.root, 'bases');

const isRemote = (image: string): boolean => /^https?:\/\//.test(image);

/** SHA-256 of the base image, without fetching it: a URL comes with it, a file on this host is hashed when it changed. */
export async function identifyImage(cache: Cache, spec: ImageSpec): Promise<string> {
  if (isRemote(spec.image)) return spec.sha256 ?? '';
  const found = await hashLocal(cache, spec.image);
  if (spec.sha256 !== undefined && spec.sha256 !== found) throw other(spec.image, spec.sha256, found);
  return found;
}

/**
 * The image file: the operator's own, or downloaded into the cache, gone on with after a break, and checked.
 * @throws UserError when the file is missing or another one; StepError when it cannot be fetched
 */
export async function openImageFile(cache: Cache, spec: ImageSpec, log: Log, signal?: AbortSignal): Promise<ImageFile> {
  if (!isRemote(spec.image)) return { path: spec.image, sha256: await identifyImage(cache, spec) };
  const wanted = spec.sha256 ?? '';
  const folder = basesFolder(cache);
  await mkdir(folder, { recursive: true });
  const path = join(folder, `${wanted}.image`);
  const lock = await lockFile(join(cache.locks, `base-${wanted}`), signal === undefined ? {} : { signal });
  try {
    if (await isWhole(path, wanted)) return { path, sha256: wanted };
    await fetchImage({ url: spec.image, wanted, path, log, ...(signal === undefined ? {} : { signal }) });
  } finally {
    lock.release();
  }
  return { path, sha256: wanted };
}

/** The time of a file that was checked: whatever writes to it changes that. */
const CHECKED = new Date('2000-01-01T00:00:00Z');

async function isWhole(path: string, wanted: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) return false;
  if (found.mtimeMs !== CHECKED.getTime() && (await sha256File(path)) !== wanted) {
    await rm(path, { force: true });
    return false;
  }
  await utimes(path, new Date(), CHECKED);
  return true;
}

interface Job {
  readonly url: string;
  readonly wanted: string;
  readonly path: string;
  readonly log: Log;
  readonly signal?: AbortSignal;
}

async function fetchImage({ url, wanted, path, log, signal }: Job): Promise<void> {
  const partial = `${path}.partial`;
  let reason = '';
  for (let attempt = 1, without = 0; without < TRIES && attempt <= 10 * TRIES; attempt += 1) {
    const before = await sizeOf(partial);
    try {
      await fetchRest(url, partial, log, signal);
      const found = await sha256File(partial);
      if (found === wanted) {
        await utimes(partial, new Date(), CHECKED);
        await rename(partial, path);
        return;
      }
      reason = `the server has other content, with SHA-256 ${found} and ${await sizeOf(partial)} bytes`;
      await rm(partial, { force: true });
      without += before === 0 ? TRIES : 1;
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof FatalAnswer) {
        reason = error.message;
        break;
      }
      const cause = error instanceof Error ? (error.cause as Error | undefined) : undefined;
      reason = error instanceof Error ? String(cause?.message ?? error.message) : String(error);
      if (/ENOSPC/.test(reason)) break;
      // A server that breaks off again and again, but each time a little later, is worth going on with.
      without = (await sizeOf(partial)) > before ? 0 : without + 1;
    }
  }
  throw new StepError({
    message: `The base image could not be fetched from ${url}: ${reason}`,
    hint: /ENOSPC/.test(reason)
      ? 'The disk is full: make room, or set AMSLPR_CACHE to a folder on another disk.'
      : `Check the address, and that its SHA-256 is ${wanted}. What was fetched is kept and gone on with.`,
  });
}

const sizeOf = async (path: string): Promise<number> => (await stat(path).catch(() => undefined))?.size ?? 0;

/** An answer that no further try would change. */
class FatalAnswer extends Error {}

/** Gets what `file` lacks, or everything when the server cannot go on. */
async function fetchRest(url: string, file: string, log: Log, signal: AbortSignal | undefined): Promise<void> {
  const from = await sizeOf(file);
  const silence = new AbortController();
  const ended = signal === undefined ? silence.signal : AbortSignal.any([silence.signal, signal]);
  let timer = setTimeout(() => silence.abort(), SILENCE_MS);
  try {
    const response = await fetch(url, { headers: from > 0 ? { range: `bytes=${from}-` } : {}, signal: ended });
    if (response.status === 416) {
      // There is nothing behind what we have: it is whole, or from another file.
      await response.body?.cancel();
      return;
    }
    if (!response.ok || response.body === null) {
      const text = `the server answers ${response.status} ${response.statusText}`.trim();
      throw response.status >= 400 && response.status < 500 && response.status !== 429
        ? new FatalAnswer(text)
        : new Error(text);
    }
    const range = /^bytes (\d+)-/.exec(response.headers.get('content-range') ?? '')?.[1];
    const start = response.status === 206 && Number(range) === from ? from : 0;
    if (response.status === 206 && Number(range) !== from)
      throw new Error('the server sends another part than the one asked for');
    const length = Number(response.headers.get('content-length') ?? Number.NaN);
    const total = Number.isFinite(length) ? start + length : undefined;
    let size = start;
    let told = 0;
    const count = new Transform({
      transform(chunk: Buffer, _encoding, next) {
        size += chunk.length;
        clearTimeout(timer);
        timer = setTimeout(() => silence.abort(), SILENCE_MS);
        if (Date.now() - told > TELL_EVERY_MS) {
          told = Date.now();
          log({
            kind: 'progress',
            step: 'download',
            done: size,
            ...(total === undefined ? {} : { total }),
            unit: 'bytes',
          });
        }
        next(size > MAX_BYTES ? new FatalAnswer(`the server sends more than ${MAX_BYTES} bytes`) : null, chunk);
      },
    });
    const target = createWriteStream(file, start > 0 ? { flags: 'r+', start } : {});
    await pipeline(Readable.fromWeb(response.body as ReadableStream<Uint8Array>), count, target, { signal: ended });
    if (total !== undefined && size < total) throw new Error('the server broke off');
  } catch (error) {
    if (silence.signal.aborted && signal?.aborted !== true)
      throw new Error(`the server was silent for ${SILENCE_MS / 1000} s`);
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** Hashes a file on this host, and remembers how it looked then. */
async function hashLocal(cache: Cache, path: string): Promise<string> {
  const found = await stat(path, { bigint: true }).catch((cause: NodeJS.ErrnoException) => {
    const reason = cause.code === 'ENOENT' ? 'does not exist' : `cannot be read (${cause.code})`;
    throw new UserError({ message: `The base image ${path} ${reason}`, hint: 'Correct base.image.' }, { cause });
  });
  if (!found.isFile())
    throw new UserError({ message: `The base image ${path} is no file`, hint: 'Correct base.image.' });
  const look = [found.size, found.mtimeNs, found.ctimeNs, found.ino, found.dev].join(' ');
  const record = join(basesFolder(cache), `${sha256Of(path).slice(0, 32)}.known`);
  const [before, digest] = (await readFile(record, 'utf8').catch(() => '')).split('\n');
  if (before === look && digest !== undefined && /^[0-9a-f]{64}$/.test(digest)) return digest;
  const fresh = await sha256File(path);
  await mkdir(basesFolder(cache), { recursive: true });
  await writeFile(`${record}.${process.pid}`, `${look}\n${fresh}\n`);
  await rename(`${record}.${process.pid}`, record);
  return fresh;
}

const other = (image: string, wanted: string, found: string): UserError =>
  new UserError({
    message: `The base image ${image} has SHA-256 ${found}, not ${wanted}`,
    hint: 'Fetch it again, or correct base.sha256.',
  });
