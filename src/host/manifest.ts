import { existsSync, readFileSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { Cache } from './cache.ts';
import type { Namespace } from './namespace.ts';

/**
 * What is known of a finished entry of the cache, in two files beside its tree `fs`. `stat`: a record for each path with
 * type, mode, owner, size, time of change and links (`facts`), inode number and time of the inode's change (`place`),
 * and a link's target. `sums`: the SHA-256 of each file. Both are made inside the namespace, which alone may read all.
 */
export interface ManifestPlace {
  readonly cache: Cache;
  readonly namespace: Namespace;
}

/** A difference, ready to print: `usr/bin/x: its content was changed`. */
export type Damage = string;

const FORMAT = '%P\\001%y %m %U %G %s %T@ %n\\001%i %C@\\001%l\\0';
const LIST = `list() { (cd "$1/fs" && find . -printf '${FORMAT}' | LC_ALL=C sort -z); }`;
// Each program writes to a file of its own: their lines would mix in one.
const SUMS = `sums() { (
  mkdir /tmp/sums; cd "$1/fs"
  find . -type f -print0 | xargs -0 -r -n 200 -P ${availableParallelism()} sh -c 'sha256sum -z -- "$@" > "$(mktemp /tmp/sums/XXXXXXXX)"' sh
  cat /tmp/sums/* /dev/null | LC_ALL=C sort -z -k 2; rm -r /tmp/sums
) }`;

const inside = ({ cache }: ManifestPlace, folder: string): string => `/cache${folder.slice(cache.root.length)}`;

const run = async (place: ManifestPlace, script: string, args: readonly string[]): Promise<string> =>
  (await place.namespace.run(['sh', '-euc', script, 'sh', ...args], { root: { kind: 'host' } })).stdout;

/** Writes both files for a tree that is complete, and has everything on the disk when it returns. */
export async function writeManifest(place: ManifestPlace, folder: string): Promise<void> {
  // The disk works while the sums are taken.
  const script = `${LIST}\n${SUMS}\nsync -f "$1/fs" & list "$1" > /tmp/stat; sums "$1" > /tmp/new; wait; cat /tmp/stat; printf '\\002\\0'; cat /tmp/new`;
  const [stat = '', sums = ''] = (await run(place, script, [inside(place, folder)])).split('\u0002\0');
  await writeFile(join(folder, 'sums'), sums, { flush: true });
  await writeFile(join(folder, 'stat'), stat, { flush: true });
}

/** Which of the entries look as their manifests say: one program for all of them, about 100 ms for a whole image. */
export async function looksWhole(place: ManifestPlace, folders: readonly string[]): Promise<boolean[]> {
  if (folders.length === 0) return [];
  const script = `${LIST}\nfor entry; do { if list "$entry" | cmp -s - "$entry/stat"; then echo 1; else echo 0; fi > "/tmp/$(basename "$entry")"; } & done; wait
for entry; do cat "/tmp/$(basename "$entry")"; done`;
  const answers = await run(
    place,
    script,
    folders.map((folder) => inside(place, folder)),
  );
  return answers
    .trim()
    .split('\n')
    .map((line) => line === '1');
}

interface Facts {
  readonly facts: string;
  readonly target: string;
}

function parseStat(text: string): Map<string, Facts> {
  const records = text.split('\0').slice(0, -1);
  return new Map(
    records.map((record) => {
      const [path = '', facts = '', , target = ''] = record.split('\u0001');
      return [path, { facts, target }];
    }),
  );
}

const parseSums = (text: string): Map<string, string> =>
  new Map(
    text
      .split('\0')
      .slice(0, -1)
      .map((line) => [line.slice(68), line.slice(0, 64)]),
  );

/** Facts that hold on another file system too: a folder's size and number of links are its own affair. */
function portable({ facts, target }: Facts): string {
  const [type, mode, user, group, size, time, links] = facts.split(' ');
  return JSON.stringify(
    type === 'd' ? [type, mode, user, group, time] : [type, mode, user, group, size, time, links, target],
  );
}

/** How two sets of facts differ, in words. */
function difference(before: Facts, now: Facts): string {
  const names = ['type', 'mode', 'owner', 'group', 'size', 'time', 'number of links'];
  const [old, found] = [before.facts.split(' '), now.facts.split(' ')];
  const changed = names.filter((_, index) => old[index] !== found[index]);
  if (before.target !== now.target) changed.push('target');
  return `its ${changed.join(', ')} ${changed.length === 1 ? 'was' : 'were'} changed`;
}

/**
 * Everything about an entry that is not as it was when it was made, by reading and hashing all of it. When only inode
 * numbers and times of inodes differ (the cache was copied, say) the entry is whole, and its `stat` is written anew.
 */
export async function findDamage(place: ManifestPlace, folder: string): Promise<Damage[]> {
  const files = ['stat', 'sums', 'inputs.json'].filter((name) => !existsSync(join(folder, name)));
  if (files.length > 0 || !existsSync(join(folder, 'fs'))) return [`${files.join(', ') || 'fs'}: missing`];
  const script = `${LIST}\n${SUMS}\nlist "$1"; printf '\\002\\0'; sums "$1"`;
  const [stat = '', sums = ''] = (await run(place, script, [inside(place, folder)])).split('\u0002\0');
  const text = readFileSync(join(folder, 'stat'), 'utf8');
  const damage = compareManifests({ stat: text, sums: readFileSync(join(folder, 'sums'), 'utf8') }, { stat, sums });
  if (damage.length === 0 && text !== stat) {
    await writeFile(join(folder, 'stat.new'), stat, { flush: true });
    await rename(join(folder, 'stat.new'), join(folder, 'stat'));
  }
  return damage;
}

export interface Manifest {
  readonly stat: string;
  readonly sums: string;
}

/** Differences in facts and content, by path; inode numbers and times of inodes are no part of it. */
export function compareManifests(before: Manifest, now: Manifest): Damage[] {
  const [old, found] = [parseStat(before.stat), parseStat(now.stat)];
  const [oldSums, sums] = [parseSums(before.sums), parseSums(now.sums)];
  const damage: Damage[] = [];
  for (const [path, facts] of old) {
    const shown = path === '' ? '.' : path;
    const other = found.get(path);
    if (other === undefined) damage.push(`${shown}: missing`);
    else if (oldSums.get(path) !== sums.get(path)) damage.push(`${shown}: its content was changed`);
    else if (portable(facts) !== portable(other)) {
      damage.push(`${shown}: ${difference(facts, other)}`);
    }
  }
  for (const path of found.keys()) if (!old.has(path)) damage.push(`${path}: was not there before`);
  return damage;
}
