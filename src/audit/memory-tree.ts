import { createHash } from 'node:crypto';
import type { Disk } from './mbr.ts';
import { resolvePath } from './paths.ts';
import type { Archive, Tree, TreeEntry, TreeNode } from './tree.ts';

/** A tree over nodes in memory. A later node of the same path takes the place of an earlier one. */
export function memoryTree(
  nodes: Iterable<TreeNode>,
  extra: { readonly archives?: readonly Archive[]; readonly disk?: Disk | undefined } = {},
): Tree {
  const byPath = new Map<string, TreeNode>();
  for (const node of nodes) byPath.set(node.path, node);
  const sorted = [...byPath.values()].sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
  const lookup = (path: string): TreeNode | undefined => byPath.get(path);
  const file = (path: string): TreeNode | undefined => {
    const real = resolvePath(lookup, path, 'follow');
    const node = real === undefined ? undefined : byPath.get(real);
    return node?.type === 'file' ? node : undefined;
  };
  const digest = (path: string, algorithm: 'sha256' | 'md5'): string | undefined => {
    const node = file(path);
    if (node?.bytes !== undefined) return createHash(algorithm).update(node.bytes).digest('hex');
    return node?.[algorithm];
  };
  return {
    get: (path) => {
      const real = resolvePath(lookup, path, 'keep-last');
      return real === undefined ? undefined : byPath.get(real);
    },
    text: (path) => {
      const bytes = file(path)?.bytes;
      return bytes === undefined ? undefined : new TextDecoder().decode(bytes);
    },
    sha256: (path) => digest(path, 'sha256'),
    md5: (path) => digest(path, 'md5'),
    entries: (): Iterable<TreeEntry> => sorted,
    archives: extra.archives ?? [],
    disk: extra.disk,
  };
}
