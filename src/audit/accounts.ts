import type { Tree, TreeEntry } from './tree.ts';

/** A line of a colon-separated account file, with its fields. */
export type Fields = readonly string[];

export function accountLines(tree: Tree, path: string): Fields[] {
  return (tree.text(path) ?? '')
    .split('\n')
    .filter((line) => line.trim() !== '' && !line.startsWith('#'))
    .map((line) => line.split(':'));
}

export interface Names {
  readonly user: (uid: number) => string;
  readonly group: (gid: number) => string;
  readonly hasUser: (uid: number) => boolean;
  readonly hasGroup: (gid: number) => boolean;
}

/**
 * Names of ids from the image's own passwd and group; a number that has no name stays a number. Of two lines with one
 * number the first counts, as for getpwuid(3).
 */
export function accountNames(tree: Tree): Names {
  const table = (path: string) =>
    new Map(
      accountLines(tree, path)
        .toReversed()
        .flatMap(([name, , id]) => (name && id ? [[Number(id), name] as const] : [])),
    );
  const users = table('/etc/passwd');
  const groups = table('/etc/group');
  return {
    user: (uid) => users.get(uid) ?? String(uid),
    group: (gid) => groups.get(gid) ?? String(gid),
    hasUser: (uid) => users.has(uid),
    hasGroup: (gid) => groups.has(gid),
  };
}

const octal = (mode: number): string => mode.toString(8).padStart(4, '0');

/** "0640 root:amslpr" */
export function modeAndOwner(entry: TreeEntry, names: Names): string {
  return `${octal(entry.mode)} ${names.user(entry.uid)}:${names.group(entry.gid)}`;
}
