import { rm } from 'node:fs/promises';
import type { Cache } from '../host/cache.ts';
import { tryLock } from '../host/flock.ts';
import { discard } from '../host/folders.ts';
import { findDamage } from '../host/manifest.ts';
import type { Namespace } from '../host/namespace.ts';
import { sha256File } from '../host/sha256.ts';
import { type CacheEntry, ENTRY_NAME } from './entries.ts';

export interface Damaged {
  readonly entry: CacheEntry;
  readonly damage: readonly string[];
}

/**
 * Reads and hashes everything, and takes what is not as it was made out of the cache: it will be made again when it is
 * needed. `tell` is called before each entry that takes long.
 */
export async function verifyEntries(
  cache: Cache,
  namespace: Namespace,
  entries: readonly CacheEntry[],
  tell: (done: number) => void,
  signal?: AbortSignal,
): Promise<Damaged[]> {
  const damaged: Damaged[] = [];
  for (const [index, entry] of entries.entries()) {
    signal?.throwIfAborted();
    tell(index);
    const damage = await damageOf(cache, namespace, entry);
    if (damage.length > 0) damaged.push({ entry, damage });
  }
  return damaged;
}

async function damageOf(cache: Cache, namespace: Namespace, entry: CacheEntry): Promise<readonly string[]> {
  if (entry.kind === 'package') return packageDamage(entry);
  if ((entry.kind !== 'layer' && entry.kind !== 'toolbox') || !ENTRY_NAME.test(entry.name)) return [];
  const held = await tryLock(entry.path, 'shared');
  if (held === undefined) return [];
  const damage = await findDamage({ cache, namespace }, entry.path).catch((error: unknown) => {
    held.release();
    throw error;
  });
  if (damage.length === 0) held.release();
  else await discard(cache, namespace, entry.path, held);
  return damage;
}

/** A package file has its SHA-256 for a name. */
async function packageDamage({ name, path }: CacheEntry): Promise<readonly string[]> {
  const wanted = /^([0-9a-f]{64})\.deb$/.exec(name)?.[1];
  if (wanted === undefined) return [];
  if ((await sha256File(path)) === wanted) return [];
  await rm(path, { force: true });
  return ['its content was changed'];
}
