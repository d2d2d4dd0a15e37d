import { chmod, chown, mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Cache } from './cache.ts';
import { type Held, tryLock } from './flock.ts';
import type { Namespace } from './namespace.ts';
import { isOver, sessionOf } from './session.ts';

/** `NAME.PID.SESSION-N.new`: what a process works on, or `.old`: what it is about to remove. */
const UNFINISHED = /\.\d+\.([0-9a-f]{8})-\d+\.(?:new|old)$/;
/** Of an earlier version of this program, which named the process only. */
const UNFINISHED_BEFORE = /\.(\d+\.)?[0-9a-f]{8}\.new$/;

let count = 0;
const own = async (cache: Cache, name: string, suffix: 'new' | 'old'): Promise<string> =>
  `${name}.${process.pid}.${await sessionOf(cache)}-${count++}.${suffix}`;

export const isUnfinished = (name: string): boolean => UNFINISHED.test(name) || UNFINISHED_BEFORE.test(name);

/** An empty folder in the cache with `fs` and `work`, owned by the namespace's root; its name tells who is at work on it. */
export async function newFolder(cache: Cache, name: string): Promise<string> {
  const folder = join(cache.layers, await own(cache, name, 'new'));
  const owner = await stat(cache.layers);
  for (const path of [folder, join(folder, 'fs'), join(folder, 'work')]) {
    await mkdir(path, { mode: 0o755 });
    await chmod(path, 0o755);
    await chown(path, owner.uid, owner.gid);
  }
  return folder;
}

/** Removes a folder whose files belong to the namespace's ids. */
export async function removeTree(cache: Cache, namespace: Namespace, folder: string): Promise<void> {
  const below = folder.slice(cache.root.length);
  if (!folder.startsWith(`${cache.layers}/`) && !folder.startsWith(`${cache.toolboxes}/`)) throw new TypeError(folder);
  await namespace.run(['rm', '-rf', `/cache${below}`], { root: { kind: 'host' } });
  await rm(folder, { recursive: true, force: true });
}

/**
 * Takes a finished entry out of use at once, and removes it unless somebody still uses it: then whoever comes after does.
 * `held` is a lock of ours on it, which is given up.
 */
export async function discard(cache: Cache, namespace: Namespace, folder: string, held?: Held): Promise<void> {
  const old = join(folder, '..', await own(cache, basename(folder), 'old'));
  await rename(folder, old);
  held?.release();
  const only = await tryLock(old, 'exclusive');
  if (only === undefined) return;
  await removeTree(cache, namespace, old);
  only.release();
}

/** Removes what processes that are gone left in the cache. Gives the names of what was removed. */
export async function sweep(cache: Cache, namespace: Namespace): Promise<string[]> {
  const removed: string[] = [];
  const over = new Map<string, boolean>();
  for (const parent of [cache.layers, cache.toolboxes]) {
    for (const name of await readdir(parent)) {
      const session = UNFINISHED.exec(name)?.[1];
      if (session === undefined && !UNFINISHED_BEFORE.test(name)) continue;
      const key = session ?? '';
      if (session !== undefined && !over.has(key)) over.set(key, await isOver(cache, session));
      if (over.get(key) === false) continue;
      // A program that the dead process had started may live for a moment yet, and an entry may be in use.
      const only = await tryLock(join(parent, name), 'exclusive');
      if (only === undefined) continue;
      await removeTree(cache, namespace, join(parent, name));
      only.release();
      removed.push(name);
    }
  }
  for (const name of await readdir(cache.locks)) {
    const session = /^session-([0-9a-f]{8})$/.exec(name)?.[1];
    if (session !== undefined) await isOver(cache, session);
  }
  return removed;
}
