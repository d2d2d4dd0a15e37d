import { type BigIntStats, lstatSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Cache } from '../host/cache.ts';
import { sessionOf } from '../host/session.ts';
import { sha256 } from '../plan/digest.ts';
import type { Delivered } from './deliver.ts';

/** What the last build left in an output folder, so that the next one can tell that there is nothing to do. */
interface Built extends Delivered {
  /** Digest of everything that the files were made from. */
  readonly key: string;
  readonly failedChecks: number;
  /** By path: how the file looked when it was written. */
  readonly looks: Readonly<Record<string, string>>;
}

export const outputsFolder = (cache: Cache): string => join(cache.root, 'outputs');

export const outputName = (out: string, name: string): string => sha256(`${resolve(out)}\0${name}`).slice(0, 32);

const recordFile = (cache: Cache, out: string, name: string): string =>
  join(outputsFolder(cache), `${outputName(out, name)}.json`);

/** Any write to the file, and its replacement by another one, changes this. */
function look(path: string): string {
  const stat: BigIntStats | undefined = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  return stat === undefined ? '' : [stat.size, stat.mtimeNs, stat.ctimeNs, stat.ino, stat.mode].join(' ');
}

/** What an earlier build from the same `key` left in `out`, if all of it is there and untouched. */
export async function readBuilt(cache: Cache, out: string, name: string, key: string): Promise<Built | undefined> {
  try {
    const built = JSON.parse(await readFile(recordFile(cache, out, name), 'utf8')) as Built;
    const untouched = built.files.every((path) => look(path) !== '' && look(path) === built.looks[path]);
    return built.key === key && untouched ? built : undefined;
  } catch {
    return undefined;
  }
}

export async function writeBuilt(cache: Cache, out: string, name: string, built: Omit<Built, 'looks'>): Promise<void> {
  const looks = Object.fromEntries(built.files.map((path) => [path, look(path)]));
  const file = recordFile(cache, out, name);
  await mkdir(dirname(file), { recursive: true });
  const partial = `${file}.${await sessionOf(cache)}`;
  await writeFile(partial, JSON.stringify({ ...built, looks }), { flush: true });
  await rename(partial, file);
}

/** The folder of the program's code: this module is src/engine/built.ts, or one of the bundle's files, all in dist. */
export const codeFolder = (own: string): string => (own.endsWith('.ts') ? dirname(dirname(own)) : dirname(own));

/** Digest of this program itself, as it runs: what it makes may change with any of its files. */
export function codeDigest(project: string): string {
  const files = [codeFolder(fileURLToPath(import.meta.url)), join(project, 'native')].flatMap((folder) =>
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name)),
  );
  const lines = files.sort().map((file) => `${basename(file)} ${sha256(readFileSync(file))}\n`);
  return sha256(lines.join(''));
}
