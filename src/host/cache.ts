import { mkdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** Folders of the cache; `root` is an absolute path. Layers and toolboxes belong to subordinate ids. */
export interface Cache {
  readonly root: string;
  /** Package files, named by their SHA-256. */
  readonly packages: string;
  readonly toolboxes: string;
  readonly layers: string;
  /** Empty mount points that every namespace uses, each in a mount table of its own. */
  readonly skeleton: string;
  /** Files that processes hold locks on; each goes with its holder, or with the next build. */
  readonly locks: string;
}

/** AMSLPR_CACHE, else `$XDG_CACHE_HOME/amslpr-image`, else `~/.cache/amslpr-image`: shared by all checkouts of a user. */
export function cacheRoot(env: Readonly<Record<string, string | undefined>> = process.env): string {
  const named = env['AMSLPR_CACHE'];
  if (named !== undefined && named !== '') return named;
  const xdg = env['XDG_CACHE_HOME'];
  return join(xdg === undefined || xdg === '' ? join(homedir(), '.cache') : xdg, 'amslpr-image');
}

export async function openCache(root: string = cacheRoot()): Promise<Cache> {
  const cache = {
    root,
    packages: join(root, 'packages'),
    toolboxes: join(root, 'toolboxes'),
    layers: join(root, 'layers'),
    skeleton: join(root, 'skeleton'),
    locks: join(root, 'locks'),
  };
  for (const folder of [cache.packages, cache.toolboxes, cache.layers, cache.skeleton, cache.locks]) {
    await mkdir(folder, { recursive: true, mode: 0o755 });
  }
  return cache;
}
