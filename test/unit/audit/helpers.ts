import type { Disk } from '../../../src/audit/mbr.ts';
import { memoryTree } from '../../../src/audit/memory-tree.ts';
import type { Archive, Tree, TreeNode } from '../../../src/audit/tree.ts';

const encoder = new TextEncoder();

interface NodeOptions {
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly xattrs?: Readonly<Record<string, Uint8Array>>;
}

const base = { uid: 0, gid: 0, mtime: 0 };

export function file(path: string, content: string | Uint8Array = '', options: NodeOptions = {}): TreeNode {
  const bytes = typeof content === 'string' ? encoder.encode(content) : content;
  return { ...base, path, type: 'file', mode: 0o644, size: bytes.length, bytes, head: bytes.slice(0, 64), ...options };
}
export const folder = (path: string, options: NodeOptions = {}): TreeNode => ({
  ...base,
  path,
  type: 'directory',
  mode: 0o755,
  size: 0,
  ...options,
});
export const link = (path: string, target: string): TreeNode => ({
  ...base,
  path,
  type: 'symlink',
  mode: 0o777,
  size: target.length,
  target,
});

/** A tree in which every folder on the way to a node exists. */
export function treeOf(
  nodes: Iterable<TreeNode>,
  extra: { readonly archives?: readonly Archive[]; readonly disk?: Disk | undefined } = {},
): Tree {
  const list = [...nodes];
  const folders = new Set(['/']);
  for (const { path } of list) {
    const parts = path.split('/').slice(1, -1);
    for (let depth = 1; depth <= parts.length; depth++) folders.add(`/${parts.slice(0, depth).join('/')}`);
  }
  return memoryTree([...[...folders].map((path) => folder(path)), ...list], extra);
}

/** passwd and group with root, the service account amslpr and nobody, and their shadows. */
export const accounts = (): TreeNode[] => [
  file(
    '/etc/passwd',
    'root:x:0:0:root:/root:/bin/bash\namslpr:x:950:950::/var/lib/amslpr:/usr/sbin/nologin\n' +
      'nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n',
  ),
  file('/etc/shadow', 'root:*:20000:0:99999:7:::\namslpr:!*:20000::::::\nnobody:*:20000:0:99999:7:::\n', {
    mode: 0o640,
  }),
  file('/etc/group', 'root:x:0:\namslpr:x:950:\nnobody:x:65534:\n'),
  file('/etc/gshadow', 'root:*::\namslpr:!*::\nnobody:*::\n', { mode: 0o640 }),
];
