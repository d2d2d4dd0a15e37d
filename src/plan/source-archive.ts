import { join, normalize } from 'node:path';
import { UserError } from '../core/errors.ts';
import { runSync } from '../host/run-sync.ts';
import type { Found, Wanted } from './source-files.ts';

/** The same limits as for an update on a device (device/amslpr_device/app/archive.py). */
const ENTRIES = 20_000;
const BYTES = 1024 * 1024 * 1024;
const LONGEST = 200;

const FORMS = /\.(tar|tar\.gz|tgz|tar\.xz|txz|tar\.zst|tzst|zip)$/i;

interface Entry {
  readonly name: string;
  readonly kind: 'file' | 'folder' | 'link' | 'hard link' | 'encrypted' | 'other';
  readonly size: number;
  readonly target: string;
}

export const isArchive = (path: string): boolean => FORMS.test(path);

/**
 * Reads what is wanted of an archive. Nothing of it is trusted: all names are judged before a byte of content is read,
 * and nothing is unpacked to the disk. One folder around everything is left out of the paths.
 */
export function readArchive(root: string, file: string, wanted: Wanted, tops: readonly string[]): Found {
  const program: [string, ...string[]] = ['/usr/bin/python3', '-I', join(root, 'src/plan/archive.py')];
  const entries = list(program, file).map((entry) => ({ ...entry, path: checkedPath(file, entry) }));
  const top = topFolder(entries, tops);
  const inside = (path: string): string => (path.startsWith(top) ? path.slice(top.length) : '');
  const chosen = new Map<string, string>();
  const seen = new Set<string>();
  for (const { name, kind, path } of entries) {
    const own = inside(path);
    if (own === '' || kind === 'folder' || !wanted(own)) continue;
    if (kind === 'encrypted') throw refused(file, `${shown(name)} is encrypted`);
    if (kind !== 'file') throw refused(file, `${shown(name)} is a link`, 'Replace links by what they point to.');
    if (seen.has(own)) throw refused(file, `it has ${own} twice`);
    seen.add(own);
    chosen.set(name, own);
  }
  const files = contents(program, file, [...chosen.keys()]).map(({ name, bytes }) => ({
    path: chosen.get(name) ?? '',
    bytes,
  }));
  const name = file.replace(/^.*\//, '').replace(FORMS, '');
  return { files, version: versionIn(name) ?? versionIn(top.slice(0, -1)) };
}

function list(program: [string, ...string[]], file: string): readonly Entry[] {
  const { code, stdout, said } = runSync([...program, 'list', file, String(ENTRIES), String(BYTES)]);
  if (code !== 0) throw refused(file, `it cannot be read: ${said}`);
  const answer = JSON.parse(stdout.toString()) as { entries?: readonly Entry[]; problem?: string };
  if (answer.entries !== undefined) return answer.entries;
  throw refused(
    file,
    answer.problem ?? 'it cannot be read',
    `An application has at most ${ENTRIES} files, and ${BYTES / 1024 / 1024} MiB in all.`,
  );
}

/** The path of an entry without `./`. @throws UserError for anything that could lead elsewhere, wanted or not */
function checkedPath(file: string, { name, kind, target }: Entry): string {
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  if (name.startsWith('/') || parts.includes('..') || /[\\\0-\x1f\x7f\ud800-\udfff]|^[A-Za-z]:/.test(name)) {
    throw refused(file, `the name ${shown(name)} leads out of it, or is none that a file should have`);
  }
  if (Buffer.byteLength(name) > LONGEST) throw refused(file, `a name has more than ${LONGEST} bytes: ${shown(name)}`);
  if (kind === 'other') throw refused(file, `${shown(name)} is neither a file nor a folder nor a link`);
  const path = parts.join('/');
  if (kind === 'link' || kind === 'hard link') {
    // Where a hard link leads is told from the top of the archive.
    const place = normalize(kind === 'link' ? join(path, '..', target) : target);
    if (target.startsWith('/') || place === '..' || place.startsWith('../')) {
      throw refused(file, `the link ${shown(name)} leads out of it, to ${shown(target)}`);
    }
  }
  return path;
}

/** `NAME/` when everything is in one folder that is none of the application's own, else nothing. */
function topFolder(
  entries: readonly { readonly path: string; readonly kind: string }[],
  own: readonly string[],
): string {
  // What macOS and forges put beside it is hidden, or has this name.
  const names = new Set(
    entries.map(({ path }) => path.split('/')[0] ?? '').filter((name) => !/^(|\..*|__MACOSX)$/.test(name)),
  );
  const [name] = names;
  if (name === undefined || names.size > 1 || own.includes(name)) return '';
  return entries.some(({ path, kind }) => path === name && kind !== 'folder') ? '' : `${name}/`;
}

function contents(
  program: [string, ...string[]],
  file: string,
  names: readonly string[],
): { name: string; bytes: Buffer }[] {
  const { code, stdout, said } = runSync([...program, 'read', file], JSON.stringify(names));
  if (code !== 0) throw refused(file, `it cannot be read: ${said}`);
  const found: { name: string; bytes: Buffer }[] = [];
  for (let at = 0; at < stdout.length; ) {
    const end = stdout.indexOf('\n', at) + 1;
    const { name, size } = JSON.parse(stdout.toString('utf8', at, end)) as { name: string; size: number };
    found.push({ name, bytes: stdout.subarray(end, end + size) });
    at = end + size;
  }
  return found;
}

/** `1.4.2` of amslpr-1.4.2, or the commit that a forge puts there. */
const versionIn = (name: string): string | undefined => /[-_](v?\d[A-Za-z0-9._+~-]*|[0-9a-f]{40})$/.exec(name)?.[1];

const shown = (text: string): string => JSON.stringify(text.slice(0, 100));

const refused = (file: string, why: string, hint?: string): UserError =>
  new UserError({ message: `${file} is refused: ${why}`, ...(hint === undefined ? {} : { hint }) });
