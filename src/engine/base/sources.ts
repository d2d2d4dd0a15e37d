import { basename } from 'node:path';
import type { Mirrors } from '../archive.ts';

/** One place that a base image takes packages from. */
export interface ImageSource {
  /** How a lock names it. */
  readonly archive: string;
  /** Without a slash at the end. */
  readonly url: string;
  readonly suites: readonly string[];
  readonly components: readonly string[];
  /** Path of a key file in the image, or the key itself; nothing when apt would take any trusted one. */
  readonly signedBy: string;
}

interface Stanza {
  readonly uris: readonly string[];
  readonly suites: readonly string[];
  readonly components: readonly string[];
  readonly signedBy: string;
}

const wordsOf = (text: string | undefined): string[] => (text ?? '').split(/\s+/).filter((word) => word !== '');

function deb822(text: string): Stanza[] {
  return text.split(/\n\s*\n/).flatMap((block) => {
    const lines = block.split('\n').filter((line) => !line.startsWith('#'));
    const fields = new Map<string, string>();
    let name = '';
    for (const line of lines) {
      const start = /^([A-Za-z0-9-]+):\s*(.*)$/.exec(line);
      if (start !== null) {
        name = (start[1] ?? '').toLowerCase();
        fields.set(name, start[2] ?? '');
      } else if (/^[ \t]/.test(line) && name !== '') fields.set(name, `${fields.get(name)}\n${line}`);
    }
    if (!wordsOf(fields.get('types')).includes('deb') || /^(no|false|0)$/i.test(fields.get('enabled') ?? 'yes'))
      return [];
    return [
      {
        uris: wordsOf(fields.get('uris')),
        suites: wordsOf(fields.get('suites')),
        components: wordsOf(fields.get('components')),
        signedBy: (fields.get('signed-by') ?? '').trimEnd(),
      },
    ];
  });
}

function oneLine(text: string): Stanza[] {
  return text.split('\n').flatMap((line) => {
    const match = /^\s*deb\s+(?:\[([^\]]*)\]\s*)?(\S+)\s+(\S+)\s*([^#]*)/.exec(line);
    if (match === null) return [];
    const [, options = '', uri = '', suite = '', components = ''] = match;
    const signedBy = /signed-by=(\S+)/i.exec(options)?.[1] ?? '';
    return [{ uris: [uri], suites: [suite], components: wordsOf(components), signedBy }];
  });
}

/** `file:///x/` and `file:/x` name the same. */
const plainUrl = (url: string): string => url.replace(/^(file|copy):\/\/\//, '$1:/').replace(/\/+$/, '');

/** Debian's own archive, on whatever mirror: the key tells, or else what it is called. */
const isDebian = ({ signedBy, suites }: Stanza, uri: string): boolean =>
  /debian-archive/.test(signedBy) ||
  (!/raspberrypi|raspbian/.test(`${signedBy} ${uri}`) &&
    suites.some((suite) => /^trixie-(updates|security)$/.test(suite)));

/** A deb822 file with Debian's archives taken from `mirrors`. */
export function withMirrors(text: string, mirrors: Mirrors): string {
  return text
    .split(/(\n\s*\n)/)
    .map((block) => {
      const [stanza] = deb822(block);
      const [uri = ''] = stanza?.uris ?? [];
      if (stanza === undefined || !isDebian(stanza, uri)) return block;
      const archive = stanza.suites.some((suite) => suite.endsWith('-security')) ? 'security' : 'debian';
      return block.replace(/^URIs:.*$/im, `URIs: ${mirrors[archive]}`);
    })
    .join('');
}

/** A deb822 file in which Debian's security updates have a name: auditors look for the word, and a mirror need not have it. */
export function withSecurityName(text: string): string {
  return text
    .split(/(\n\s*\n)/)
    .map((block) => {
      const [stanza] = deb822(block);
      const [uri = ''] = stanza?.uris ?? [];
      const security = stanza?.suites.some((suite) => suite.endsWith('-security')) === true && isDebian(stanza, uri);
      if (!security || /^X-Repolib-Name:/im.test(block)) return block;
      return block.replace(/^Types:/im, `X-Repolib-Name: ${SECURITY_NAME}\nTypes:`);
    })
    .join('');
}

export const SECURITY_NAME = 'Debian security updates';

/**
 * The archives of an image's sources, by file name and text. Debian's are taken from `mirrors`: any of them has the same
 * signed indexes. Others keep their URL, and are called after their file.
 */
export function imageSources(files: ReadonlyMap<string, string>, mirrors: Mirrors): ImageSource[] {
  const found: ImageSource[] = [];
  const names = new Map<string, string>();
  for (const [file, text] of [...files].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const stanzas = file.endsWith('.sources') ? deb822(text) : oneLine(text);
    for (const stanza of stanzas) {
      const { suites, components, signedBy } = stanza;
      for (const uri of stanza.uris) {
        const common = { suites, components, signedBy };
        if (isDebian(stanza, uri)) {
          const archive = suites.some((suite) => suite.endsWith('-security')) ? 'security' : 'debian';
          found.push({ ...common, archive, url: mirrors[archive] });
          continue;
        }
        const url = plainUrl(uri);
        const archive = names.get(url) ?? nameFor(file, names);
        names.set(url, archive);
        found.push({ ...common, archive, url });
      }
    }
  }
  return found;
}

function nameFor(file: string, names: ReadonlyMap<string, string>): string {
  const stem = basename(file)
    .replace(/\.(sources|list)$/, '')
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, '-')
    .replace(/^[^a-z]+/, '');
  const taken = new Set<string>(['debian', 'security', ...names.values()]);
  for (let count = 1; ; count += 1) {
    const name = `${stem === '' ? 'archive' : stem}${count === 1 ? '' : `-${count}`}`;
    if (!taken.has(name)) return name;
  }
}
