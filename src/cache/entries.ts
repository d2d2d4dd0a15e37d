import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Cache } from '../host/cache.ts';
import { isUnfinished } from '../host/folders.ts';
import { readRecord } from '../host/layer.ts';
import type { Namespace } from '../host/namespace.ts';

export type EntryKind = 'layer' | 'toolbox' | 'package' | 'log' | 'other';

/** One thing that the cache holds and that can be removed by itself. */
export interface CacheEntry {
  readonly kind: EntryKind;
  readonly name: string;
  /** A folder or a file. */
  readonly path: string;
  /** What it takes on the disk. */
  readonly bytes: number;
  /** When it was used last. */
  readonly used: Date;
  /** The image that it was made for first; empty where that means nothing. */
  readonly image: string;
}

/** Name and key of a finished layer or toolbox. */
export const ENTRY_NAME = /^([a-z0-9-]+)-([0-9a-f]{32})$/;

/** Everything in the cache but what processes are working on. */
export async function listEntries(cache: Cache, namespace: Namespace): Promise<CacheEntry[]> {
  const folders = [...(await foldersOf('layer', cache.layers)), ...(await foldersOf('toolbox', cache.toolboxes))];
  const sizes = await treeSizes(
    cache,
    namespace,
    folders.map(({ path }) => path),
  );
  return [
    ...folders.map((entry, index) => ({ ...entry, bytes: sizes[index] ?? 0 })),
    ...(await filesOf('package', cache.packages)),
    ...(await filesOf('log', join(cache.root, 'logs'))),
    ...(await filesOf('other', join(cache.root, 'native'))),
    ...(await filesOf('other', join(cache.root, 'outputs'))),
    ...(await filesOf('other', join(cache.root, 'bases'))),
  ];
}

async function foldersOf(kind: EntryKind, parent: string): Promise<Omit<CacheEntry, 'bytes'>[]> {
  const names = (await readdir(parent)).filter((name) => !isUnfinished(name)).sort();
  return Promise.all(
    names.map(async (name) => {
      const path = join(parent, name);
      const made = await stat(join(path, 'inputs.json')).catch(() => stat(path));
      return { kind, name, path, used: made.mtime, image: (await readRecord(path))?.image ?? '' };
    }),
  );
}

async function filesOf(kind: EntryKind, folder: string): Promise<CacheEntry[]> {
  const names = await readdir(folder).catch(() => []);
  const found = await Promise.all(
    names.sort().map(async (name) => {
      const path = join(folder, name);
      const { blocks, atimeMs, mtimeMs } = await stat(path);
      return { kind, name, path, bytes: blocks * 512, used: new Date(Math.max(atimeMs, mtimeMs)), image: '' };
    }),
  );
  return found;
}

/** What trees take on the disk; a file that several of them share counts for the first. Only the namespace may look. */
async function treeSizes(cache: Cache, namespace: Namespace, paths: readonly string[]): Promise<number[]> {
  if (paths.length === 0) return [];
  const inside = paths.map((path) => `/cache${path.slice(cache.root.length)}`);
  const { stdout } = await namespace.run(['du', '-s', '-B1', '--', ...inside], { root: { kind: 'host' } });
  const sizes = new Map(stdout.split('\n').map((line) => [line.replace(/^\d+\t/, ''), Number.parseInt(line, 10)]));
  return inside.map((path) => sizes.get(path) ?? 0);
}
