import { readdirSync, readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { UserError } from '../core/errors.ts';
import type { SourceFiles } from '../core/stage.ts';
import { sha256 } from './digest.ts';
import { isArchive, readArchive } from './source-archive.ts';
import { readCheckout } from './source-git.ts';

export type Wanted = (path: string) => boolean;

/** What a source has, by paths from its top. */
export interface Found {
  readonly files: readonly { readonly path: string; readonly bytes: Buffer }[];
  /** What git or a name says. */
  readonly version: string | undefined;
}

const VERSION_FILE = 'VERSION';

/**
 * Reads a source for `StageContext.sourceFiles`: a folder, a git checkout or an archive. A relative path is below `root`.
 * Links are refused: what they point to is not what somebody who reads the source would expect to find in the image.
 */
export function sourceFiles(root: string, source: string, include: readonly string[], exclude?: RegExp): SourceFiles {
  const base = resolve(root, source);
  const excluded = (path: string) => exclude !== undefined && path.split('/').some((part) => exclude.test(part));
  const taken = (path: string) =>
    include.some((entry) => path === entry || path.startsWith(`${entry}/`)) && !excluded(path);
  const wanted = (path: string) => path === VERSION_FILE || taken(path);
  const found = read();
  const files = found.files
    .filter(({ path }) => taken(path))
    .map(({ path, bytes }) => ({ path, bytes, sha256: sha256(bytes) }))
    .sort((a, b) => (a.path < b.path ? -1 : 1));
  const digest = sha256(files.map((file) => `${file.sha256}  ${file.path}\n`).join(''));
  const version = versionOf(found, base);
  return { files, digest, ...(version === undefined ? {} : { version }) };

  function read(): Found {
    const kind = statSync(base, { throwIfNoEntry: false });
    if (kind?.isFile() && isArchive(base)) {
      return readArchive(
        root,
        base,
        wanted,
        [...include, VERSION_FILE].map((entry) => entry.split('/')[0] ?? ''),
      );
    }
    if (kind?.isDirectory() !== true) {
      throw new UserError({
        message: `The source ${source} ${kind === undefined ? 'does not exist' : 'is neither a folder nor an archive'}`,
        hint: 'Give a folder or a git checkout with src/ in it, or an archive of one: .tar, .tar.gz, .tar.xz, .tar.zst or .zip.',
      });
    }
    if (statSync(`${base}/.git`, { throwIfNoEntry: false })) return readCheckout(base, wanted);
    return { files: [...walk(base, '')], version: undefined };
  }

  function* walk(directory: string, prefix: string): Generator<Found['files'][number]> {
    for (const entry of readdirSync(directory, { withFileTypes: true })) {
      const path = prefix + entry.name;
      if (!(wanted(path) || include.some((one) => one.startsWith(`${path}/`)))) continue;
      if (entry.isDirectory()) yield* walk(`${directory}/${entry.name}`, `${path}/`);
      else if (entry.isFile()) yield { path, bytes: readFileSync(`${directory}/${entry.name}`) };
      else
        throw new UserError({
          message: `${base}/${path} is neither a file nor a folder`,
          hint: 'Replace links in the application folder by what they point to.',
        });
    }
  }
}

/** What git says goes before the file VERSION, and that before the name of an archive. */
function versionOf({ files, version }: Found, base: string): string | undefined {
  const file = files.find(({ path }) => path === VERSION_FILE);
  const written = file?.bytes.toString('utf8', 0, 200).split('\n')[0]?.trim();
  const [first, second] = isArchive(base) ? [written, version] : [version, written];
  return first || second || undefined;
}
