import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, chown, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Log } from '../core/log.ts';
import type { Cache } from './cache.ts';
import type { Namespace, Stack } from './namespace.ts';

/** A finished layer: a folder of the cache whose `fs` holds what a step changed. */
export interface Layer {
  readonly name: string;
  readonly key: string;
  /** The folder to stack. */
  readonly fs: string;
  readonly hit: boolean;
}

export interface LayerPlace {
  readonly cache: Cache;
  readonly namespace: Namespace;
  readonly log: Log;
}

/** What a layer is made of: digests or short texts by their names, which are told when one of them has changed. */
export type LayerInputs = Readonly<Record<string, string>>;

/**
 * The layer `name` for `inputs`, from the cache or made now by `make`, which gets an upper folder to write to. It is made
 * aside and renamed when complete, so that a kill leaves nothing that counts, and two builds at once each make their own.
 * A leftover of a process that is gone is removed.
 */
export async function openLayer(
  place: LayerPlace,
  name: string,
  inputs: LayerInputs,
  make: (upper: string) => Promise<void>,
): Promise<Layer> {
  const { cache, namespace, log } = place;
  const key = createHash('sha256').update(JSON.stringify(inputs)).digest('hex');
  const folder = join(cache.layers, `${name}-${key.slice(0, 32)}`);
  const fs = join(folder, 'fs');
  if (existsSync(fs)) return { name, key, fs, hit: true };
  log({ kind: 'notice', text: `${name} are made anew: ${await missReason(cache, name, inputs)}` });
  await removeLeftovers(cache, namespace);
  const aside = await newFolder(cache, `${name}-${key.slice(0, 32)}`);
  try {
    await make(aside);
    await writeInputs(aside, inputs);
    await rename(aside, folder).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
    });
  } finally {
    if (existsSync(aside)) await removeTree(cache, namespace, aside);
  }
  return { name, key, fs, hit: false };
}

const writeInputs = (folder: string, inputs: LayerInputs): Promise<void> =>
  writeFile(join(folder, 'inputs.json'), JSON.stringify(inputs));

/** Which inputs differ from those of the latest layer of that name. */
async function missReason(cache: Cache, name: string, inputs: LayerInputs): Promise<string> {
  const found: { readonly time: number; readonly inputs: LayerInputs }[] = [];
  for (const entry of await readdir(cache.layers)) {
    const file = join(cache.layers, entry, 'inputs.json');
    if (!entry.startsWith(`${name}-`) || entry.endsWith('.new') || !existsSync(file)) continue;
    const before = JSON.parse(await readFile(file, 'utf8')) as LayerInputs;
    found.push({ time: (await stat(file)).mtimeMs, inputs: before });
  }
  const latest = found.sort((a, b) => b.time - a.time)[0];
  if (latest === undefined) return 'there are none yet';
  const changed = Object.keys(inputs).filter((input) => inputs[input] !== latest.inputs[input]);
  return `${changed.join(', ')} changed`;
}

/** An empty folder in the cache with `fs` and `work`, owned by the namespace's root; its name tells who is at work on it. */
export async function newFolder(cache: Cache, name: string): Promise<string> {
  const folder = join(cache.layers, `${name}.${process.pid}.${randomBytes(4).toString('hex')}.new`);
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

async function removeLeftovers(cache: Cache, namespace: Namespace): Promise<void> {
  for (const name of await readdir(cache.layers)) {
    const pid = /\.(\d+)\.[0-9a-f]{8}\.new$/.exec(name)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) await removeTree(cache, namespace, join(cache.layers, name));
  }
}

/** Layers as a stack, the lowest first. */
export const stackOf = (layers: readonly Layer[]): Stack => ({ lower: layers.map(({ fs }) => fs) });
