import { createReadStream, createWriteStream, existsSync } from 'node:fs';
import { copyFile, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { UserError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { Cache } from '../host/cache.ts';
import { type Held, tryLock } from '../host/flock.ts';
import { newFolder, removeTree } from '../host/folders.ts';
import { keyOf } from '../host/inputs.ts';
import { readRecord, tellDamage } from '../host/layer.ts';
import { findDamage } from '../host/manifest.ts';
import type { Namespace } from '../host/namespace.ts';
import { sha256File } from '../host/sha256.ts';
import { checkWritable } from '../host/writable.ts';
import { type CacheEntry, ENTRY_NAME } from './entries.ts';

const PACKAGE = /^([0-9a-f]{64})\.deb$/;
// Numeric owners are those inside the namespace, so the archive is the same whoever makes it and fits any user.
const TAR = ['tar', '--numeric-owner', '--xattrs', '--xattrs-include=*', '--format=posix'];
const compression = (file: string): string[] => (file.endsWith('.zst') ? ['--use-compress-program=zstd -T0'] : []);

/** Writes finished layers and toolboxes, and package files, to one archive; it appears when it is complete. @throws UserError */
export async function exportCache(
  { cache, namespace, signal }: { readonly cache: Cache; readonly namespace: Namespace; readonly signal?: AbortSignal },
  entries: readonly CacheEntry[],
  file: string,
): Promise<number> {
  await checkWritable(dirname(file));
  await mkdir(dirname(file), { recursive: true });
  const held: Held[] = [];
  const partial = `${file}.${process.pid}.partial`;
  try {
    const names: string[] = [];
    for (const { kind, name, path } of entries) {
      const movable = kind === 'package' ? PACKAGE.test(name) : ENTRY_NAME.test(name) && existsSync(join(path, 'stat'));
      if (!movable) continue;
      const lock = kind === 'package' ? undefined : await tryLock(path, 'shared');
      if (lock !== undefined) held.push(lock);
      if (kind === 'package' || lock !== undefined) names.push(`.${path.slice(cache.root.length)}\0`);
    }
    await namespace.run(
      [...TAR, ...compression(file), '--create', '--pax-option=delete=atime,delete=ctime', '--sort=name'].concat([
        '--directory=/cache',
        '--null',
        '--files-from=-',
      ]),
      {
        root: { kind: 'host' },
        input: names.join(''),
        stdoutTo: createWriteStream(partial),
        ...(signal === undefined ? {} : { signal }),
      },
    );
    await rename(partial, file);
    return names.length;
  } finally {
    for (const lock of held) lock.release();
    await rm(partial, { force: true });
  }
}

export interface Imported {
  readonly taken: number;
  /** There already. */
  readonly known: number;
  readonly damaged: number;
}

/**
 * Takes what an archive of `exportCache` holds into the cache. Every entry is compared with its checksums, and its name
 * with its inputs, before it counts; whether an entry really was made from its inputs nobody can check, so the archive
 * has to come from somebody who is trusted.
 */
export async function importCache(
  place: { readonly cache: Cache; readonly namespace: Namespace; readonly log: Log; readonly signal?: AbortSignal },
  file: string,
): Promise<Imported> {
  const { cache, namespace, signal } = place;
  if (!existsSync(file)) throw new UserError(`${file}: There is no such file`);
  const aside = await newFolder(cache, 'import');
  const counts = { taken: 0, known: 0, damaged: 0 };
  try {
    const tree = `/cache${aside.slice(cache.root.length)}/fs`;
    await namespace.run(
      [...TAR, ...compression(file), '--extract', '--preserve-permissions', `--directory=${tree}`, '--file=-'],
      { root: { kind: 'host' }, input: createReadStream(file), ...(signal === undefined ? {} : { signal }) },
    );
    for (const parent of [cache.toolboxes, cache.layers, cache.packages]) {
      const from = join(aside, 'fs', parent.slice(cache.root.length));
      for (const name of await readdir(from).catch(() => [])) {
        signal?.throwIfAborted();
        counts[await take(place, join(from, name), join(parent, name))] += 1;
      }
    }
  } finally {
    await removeTree(cache, namespace, aside);
  }
  return counts;
}

async function take(
  place: { readonly cache: Cache; readonly namespace: Namespace; readonly log: Log },
  from: string,
  to: string,
): Promise<keyof Imported> {
  if (existsSync(to)) return 'known';
  const damage = dirname(to) === place.cache.packages ? await packageDamage(from) : await entryDamage(place, from);
  if (damage.length > 0) {
    tellDamage(place.log, from, damage);
    return 'damaged';
  }
  if (dirname(to) === place.cache.packages) {
    // Extracted files belong to the namespace; package files are ours.
    const partial = `${to}.${process.pid}.partial`;
    await copyFile(from, partial);
    await rename(partial, to);
    return 'taken';
  }
  await rename(from, to).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
  });
  return 'taken';
}

async function packageDamage(path: string): Promise<string[]> {
  const wanted = PACKAGE.exec(path.slice(dirname(path).length + 1))?.[1];
  return wanted !== undefined && wanted === (await sha256File(path)) ? [] : ['its content is not what its name says'];
}

async function entryDamage(place: { cache: Cache; namespace: Namespace }, path: string): Promise<string[]> {
  const key = ENTRY_NAME.exec(path.slice(dirname(path).length + 1))?.[2];
  const record = await readRecord(path);
  if (key === undefined || record === undefined) return ['inputs.json: missing, or not readable'];
  if (!keyOf(record.inputs).startsWith(key)) return ['its name does not agree with inputs.json'];
  return findDamage(place, path);
}
