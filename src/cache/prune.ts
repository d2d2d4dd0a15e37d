import { rm } from 'node:fs/promises';
import type { Cache } from '../host/cache.ts';
import { type Held, tryLock } from '../host/flock.ts';
import { discard, sweep } from '../host/folders.ts';
import type { Namespace } from '../host/namespace.ts';
import type { CacheEntry } from './entries.ts';

export interface PruneRule {
  /** Milliseconds: what was not used for longer goes. */
  readonly olderThan?: number;
  /** Bytes: of what is left, what was used longest ago goes until the rest is this small. */
  readonly maxSize?: number;
}

/** What a rule drops, in the order of last use. Nothing is removed. */
export function choosePruned(
  entries: readonly CacheEntry[],
  { olderThan, maxSize }: PruneRule,
  now: Date,
): CacheEntry[] {
  const byUse = [...entries].sort((a, b) => a.used.getTime() - b.used.getTime());
  let left = entries.reduce((sum, { bytes }) => sum + bytes, 0);
  return byUse.filter(({ used, bytes }) => {
    const old = olderThan !== undefined && now.getTime() - used.getTime() > olderThan;
    const tooMuch = maxSize !== undefined && left > maxSize;
    if (!old && !tooMuch) return false;
    left -= bytes;
    return true;
  });
}

export interface Pruned {
  readonly removed: readonly CacheEntry[];
  /** Left alone because a build is using them. */
  readonly busy: readonly CacheEntry[];
  /** Names of what killed builds had left. */
  readonly leftovers: readonly string[];
}

/** Removes entries, each by a rename first: an interrupt leaves an entry whole or out of use. */
export async function prune(
  cache: Cache,
  namespace: Namespace,
  entries: readonly CacheEntry[],
  signal?: AbortSignal,
): Promise<Pruned> {
  const leftovers = await sweep(cache, namespace);
  const [removed, busy]: [CacheEntry[], CacheEntry[]] = [[], []];
  // Builds hold the folder of package files while they work.
  const files = await tryLock(cache.packages, 'exclusive');
  try {
    for (const entry of entries) {
      signal?.throwIfAborted();
      const gone = await removeEntry(cache, namespace, entry, files);
      (gone ? removed : busy).push(entry);
    }
  } finally {
    files?.release();
  }
  return { removed, busy, leftovers };
}

async function removeEntry(
  cache: Cache,
  namespace: Namespace,
  { kind, path }: CacheEntry,
  files: Held | undefined,
): Promise<boolean> {
  if (kind === 'layer' || kind === 'toolbox') {
    const held = await tryLock(path, 'exclusive');
    if (held === undefined) return false;
    await discard(cache, namespace, path, held);
    return true;
  }
  if (kind === 'package' && files === undefined) return false;
  await rm(path, { force: true });
  return true;
}

const DAY = 86_400_000;
const AGES: Readonly<Record<string, number>> = { h: DAY / 24, d: DAY, w: 7 * DAY };
const SIZES: Readonly<Record<string, number>> = { k: 1e3, m: 1e6, g: 1e9, t: 1e12 };

/** `12h`, `30d`, `2w` in milliseconds; undefined when it is nothing of the kind. */
export function parseAge(text: string): number | undefined {
  const [, number = '', unit = ''] = /^(\d+)([hdw])$/i.exec(text) ?? [];
  const factor = AGES[unit.toLowerCase()];
  return factor === undefined ? undefined : Number(number) * factor;
}

/** `800M`, `1.5G`, `2GB` in bytes; undefined when it is nothing of the kind. */
export function parseSize(text: string): number | undefined {
  const [, number = '', unit = ''] = /^(\d+(?:\.\d+)?)\s*([kmgt])b?$/i.exec(text) ?? [];
  const factor = SIZES[unit.toLowerCase()];
  return factor === undefined ? undefined : Number(number) * factor;
}
