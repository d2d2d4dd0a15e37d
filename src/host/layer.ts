import { existsSync } from 'node:fs';
import { readdir, readFile, rename, stat, utimes, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Log } from '../core/log.ts';
import type { Cache } from './cache.ts';
import { type Held, lockFile, tryLock } from './flock.ts';
import { discard, isUnfinished, newFolder, removeTree, sweep } from './folders.ts';
import { type Inputs, inputChanges, keyOf } from './inputs.ts';
import { findDamage, looksWhole, writeManifest } from './manifest.ts';
import type { Namespace, Stack } from './namespace.ts';

/** A finished entry of the cache: a folder whose `fs` holds what a step made. */
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
  /** Name of the image, so that a miss is compared with the last layer of the same one. */
  readonly image?: string;
  readonly signal?: AbortSignal;
  /** Read and hash every entry before it is used, in place of a look at what stat tells. */
  readonly hashes?: boolean;
  /** Locks on entries that are in use; nobody may remove those before they are released. Default: to the process's end. */
  readonly held?: Map<string, Held>;
  /** Entries that `lookTogether` found whole. */
  readonly whole?: Set<string>;
}

export interface LayerSpec {
  /** What kind of thing it is; the first part of its folder's name. */
  readonly name: string;
  readonly inputs: Inputs;
  /** Gets a folder with `fs` and `work`, and fills `fs`. */
  readonly make: (upper: string) => Promise<void>;
  /** Where it is kept. Default: `cache.layers`. */
  readonly parent?: string;
  /** What people call one of the things that an input lists; for messages. */
  readonly label?: (key: string) => string;
}

/** What is kept beside an entry's tree, in inputs.json. */
export interface EntryRecord {
  readonly image: string;
  readonly inputs: Inputs;
}

const forLife = new Map<string, Held>();

export const layerFolder = (parent: string, name: string, key: string): string =>
  join(parent, `${name}-${key.slice(0, 32)}`);

/**
 * The entry for `inputs`, from the cache or made now. An entry is used only when it looks as it did when it was made; a
 * damaged one is told of and made again. It is made aside, written to the disk and renamed, so that a kill at any time
 * leaves nothing that counts; who needs the same one at the same time waits for it.
 */
export async function openLayer(place: LayerPlace, spec: LayerSpec): Promise<Layer> {
  const { cache, namespace, log } = place;
  const { name, inputs, parent = cache.layers } = spec;
  const key = keyOf(inputs);
  const folder = layerFolder(parent, name, key);
  const found = { name, key, fs: join(folder, 'fs') };
  if (await use(place, folder)) return { ...found, hit: true };
  const lock = await lockFile(join(cache.locks, basename(folder)), {
    ...(place.signal === undefined ? {} : { signal: place.signal }),
    onWait: () => log({ kind: 'notice', text: `Another build is making ${name}: waiting for it.` }),
  });
  try {
    if (await use(place, folder)) return { ...found, hit: true };
    log({ kind: 'notice', text: `${name}: made anew, ${await missReason(place, spec)}` });
    await sweep(cache, namespace);
    const aside = await newFolder(cache, basename(folder));
    try {
      await spec.make(aside);
      await finish(place, aside, inputs);
      await rename(aside, folder);
    } finally {
      if (existsSync(aside)) await removeTree(cache, namespace, aside);
    }
    await hold(place, folder);
  } finally {
    lock.release();
  }
  return { ...found, hit: false };
}

/** Completes a folder that is about to become an entry. */
export async function finish(place: LayerPlace, folder: string, inputs: Inputs): Promise<void> {
  const below = `/cache${folder.slice(place.cache.root.length)}`;
  await place.namespace.run(['rm', '-rf', `${below}/work`], { root: { kind: 'host' } });
  const record: EntryRecord = { image: place.image ?? '', inputs };
  await writeFile(join(folder, 'inputs.json'), JSON.stringify(record), { flush: true });
  await writeManifest(place, folder);
}

/** Keeps an entry from being removed. False: it is not there any more. */
async function hold({ held: inUse = forLife }: LayerPlace, folder: string): Promise<boolean> {
  if (inUse.has(folder) && existsSync(folder)) return true;
  inUse.get(folder)?.release();
  inUse.delete(folder);
  const held = await tryLock(folder, 'shared');
  if (held === undefined) return false;
  inUse.set(folder, held);
  return true;
}

/** Looks at several entries at once, which takes as long as for one; `openLayer` needs not look at them again. */
export async function lookTogether(place: LayerPlace, specs: readonly Omit<LayerSpec, 'make'>[]): Promise<void> {
  if (place.hashes === true || place.whole === undefined) return;
  const folders: string[] = [];
  for (const { name, inputs, parent = place.cache.layers } of specs) {
    const folder = layerFolder(parent, name, keyOf(inputs));
    if (existsSync(join(folder, 'stat')) && (await hold(place, folder))) folders.push(folder);
  }
  const found = await looksWhole(place, folders);
  for (const [index, folder] of folders.entries()) if (found[index] === true) place.whole.add(folder);
}

/** Takes an entry into use if it is there and whole. One that is damaged is told of and taken out of the way. */
async function use(place: LayerPlace, folder: string): Promise<boolean> {
  if (!existsSync(folder) || !(await hold(place, folder))) return false;
  const quick = place.hashes !== true && existsSync(join(folder, 'stat'));
  const known = quick && place.whole?.has(folder) === true;
  const [whole] = known ? [true] : quick ? await looksWhole(place, [folder]) : [false];
  const damage = whole === true ? [] : await findDamage(place, folder);
  if (damage.length === 0) {
    const now = new Date();
    await utimes(join(folder, 'inputs.json'), now, now).catch(() => undefined);
    return true;
  }
  tellDamage(place.log, folder, damage);
  const { held: inUse = forLife } = place;
  const held = inUse.get(folder);
  inUse.delete(folder);
  await discard(place.cache, place.namespace, folder, held);
  return false;
}

const SHOWN = 5;

export function tellDamage(log: Log, folder: string, damage: readonly string[]): void {
  const more = damage.length > SHOWN ? `; and ${damage.length - SHOWN} more` : '';
  log({
    kind: 'warning',
    text: `${basename(folder)} in the cache is damaged and is not used: ${damage.slice(0, SHOWN).join('; ')}${more}`,
  });
}

/** What an entry was made of; nothing when that cannot be read. */
export async function readRecord(folder: string): Promise<EntryRecord | undefined> {
  try {
    const content = JSON.parse(await readFile(join(folder, 'inputs.json'), 'utf8')) as Partial<EntryRecord>;
    return content.inputs === undefined ? undefined : { image: content.image ?? '', inputs: content.inputs };
  } catch {
    return undefined;
  }
}

/** Which inputs differ from those of the entry of that kind, and of that image if there is one, that was used last. */
async function missReason(place: LayerPlace, spec: LayerSpec): Promise<string> {
  const { name, inputs, parent = place.cache.layers, label } = spec;
  const found: { readonly time: number; readonly folder: string }[] = [];
  for (const entry of await readdir(parent)) {
    if (entry.slice(0, -33) !== name || isUnfinished(entry)) continue;
    const folder = join(parent, entry);
    const { mtimeMs: time } = await stat(join(folder, 'inputs.json')).catch(() => ({ mtimeMs: 0 }));
    found.push({ time, folder });
  }
  found.sort((a, b) => b.time - a.time);
  // A record may list thousands of files: no more of them are read than it takes.
  let latest: EntryRecord | undefined;
  for (const { folder } of found) {
    const record = await readRecord(folder);
    if (record !== undefined) latest ??= record;
    if (record?.image !== place.image) continue;
    latest = record;
    break;
  }
  if (latest === undefined) return 'since there is none yet';
  const changes = inputChanges(latest.inputs, inputs, label);
  return changes.length === 0 ? 'since it was removed' : `since these changed: ${changes.join('; ')}`;
}

/** Layers as a stack, the lowest first. */
export const stackOf = (layers: readonly Pick<Layer, 'fs'>[]): Stack => ({ lower: layers.map(({ fs }) => fs) });
