import type { Tree } from './tree.ts';

export interface Package {
  readonly name: string;
  readonly version: string;
  readonly architecture: string;
  /** True for "install ok installed" and the like; removed packages with leftover configuration are false. */
  readonly installed: boolean;
  /** Path to MD5 of each configuration file as the package brought it. */
  readonly conffiles: readonly { readonly path: string; readonly md5: string; readonly obsolete: boolean }[];
}

/** The fields of a Debian control paragraph; continuation lines stay in the value, one a line. */
function paragraphs(text: string): Map<string, string>[] {
  return text
    .split(/\n\s*\n/)
    .filter((block) => block.trim() !== '')
    .map((block) => {
      const fields = new Map<string, string>();
      let key = '';
      for (const line of block.split('\n')) {
        if (/^\s/.test(line)) {
          fields.set(key, `${fields.get(key) ?? ''}\n${line.trim()}`);
          continue;
        }
        const colon = line.indexOf(':');
        if (colon <= 0) continue;
        key = line.slice(0, colon).toLowerCase();
        fields.set(key, line.slice(colon + 1).trim());
      }
      return fields;
    });
}

/** All packages of /var/lib/dpkg/status; undefined when the image has none, so that nobody takes that for "none". */
export function packages(tree: Tree): Package[] | undefined {
  const text = tree.text('/var/lib/dpkg/status');
  if (text === undefined) return undefined;
  return paragraphs(text).flatMap((fields) => {
    const name = fields.get('package');
    if (name === undefined) return [];
    return [
      {
        name,
        version: fields.get('version') ?? '',
        architecture: fields.get('architecture') ?? '',
        installed: /\b(installed|triggers-awaited|triggers-pending)$/.test(fields.get('status') ?? ''),
        conffiles: (fields.get('conffiles') ?? '').split('\n').flatMap((line) => {
          const [path, md5, ...flags] = line.split(' ');
          if (path === undefined || md5 === undefined || !path.startsWith('/')) return [];
          return [{ path, md5, obsolete: flags.includes('obsolete') || flags.includes('remove-on-upgrade') }];
        }),
      },
    ];
  });
}

/** Where dpkg puts a packaged file: its own path, or the one that a diversion of another owner gives. */
export function diversions(tree: Tree): (path: string, packageName: string) => string {
  const lines = (tree.text('/var/lib/dpkg/diversions') ?? '').split('\n');
  const table = new Map<string, { readonly to: string; readonly by: string }>();
  for (let i = 0; i + 2 < lines.length; i += 3) {
    table.set(lines[i] ?? '', { to: lines[i + 1] ?? '', by: lines[i + 2] ?? '' });
  }
  return (path, packageName) => {
    const entry = table.get(path);
    return entry === undefined || entry.by === packageName ? path : entry.to;
  };
}

/** `/var/lib/dpkg/info/NAME[:ARCH].md5sums` of every package: absolute path to MD5. */
export function md5sums(tree: Tree): { readonly package: string; readonly path: string; readonly md5: string }[] {
  const list: { package: string; path: string; md5: string }[] = [];
  for (const entry of tree.entries()) {
    const name = /^\/var\/lib\/dpkg\/info\/([^/:]+)(?::[^/]+)?\.md5sums$/.exec(entry.path)?.[1];
    if (name === undefined) continue;
    for (const line of (tree.text(entry.path) ?? '').split('\n')) {
      const match = /^([0-9a-f]{32}) [ *](.+)$/.exec(line);
      if (match?.[1] !== undefined && match[2] !== undefined) {
        list.push({ package: name, path: `/${match[2].replace(/^\.?\//, '')}`, md5: match[1] });
      }
    }
  }
  return list;
}
