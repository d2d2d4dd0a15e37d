import { createHash } from 'node:crypto';
import type { Disk } from '../../../src/audit/mbr.ts';
import type { Archive, Tree, TreeNode } from '../../../src/audit/tree.ts';
import { file, treeOf } from './helpers.ts';

/** An image in memory that tests change before they look at it as a tree. */
export interface Model {
  readonly nodes: Map<string, TreeNode>;
  archives: Archive[];
  disk: Disk | undefined;
}

export const modelOf = (nodes: Iterable<TreeNode>, extra: { archives?: Archive[]; disk?: Disk } = {}): Model => ({
  nodes: new Map([...nodes].map((node) => [node.path, node])),
  archives: extra.archives ?? [],
  disk: extra.disk,
});

export const cloneModel = (model: Model): Model => ({ ...model, nodes: new Map(model.nodes) });

export const treeOfModel = (model: Model): Tree => treeOf(model.nodes.values(), model);

export const put = (model: Model, ...nodes: TreeNode[]): void => {
  for (const node of nodes) model.nodes.set(node.path, node);
};

/** Changes attributes of a node that has to be there. */
export function alter(model: Model, path: string, change: Partial<TreeNode>): void {
  const node = model.nodes.get(path);
  if (node === undefined) throw new Error(`the model has no ${path}`);
  model.nodes.set(path, { ...node, ...change });
}

const textOf = (model: Model, path: string): string =>
  Buffer.from(model.nodes.get(path)?.bytes ?? new Uint8Array()).toString();

/** Replaces the text of a file that has to be there, keeping mode and owner. */
export function edit(model: Model, path: string, change: (text: string) => string): void {
  const before = textOf(model, path);
  const after = change(before);
  const { bytes, size, head } = file(path, after);
  alter(model, path, { ...(bytes === undefined ? {} : { bytes }), size, ...(head === undefined ? {} : { head }) });
}

export const md5 = (content: string): string => createHash('md5').update(content).digest('hex');

/** The head of an ELF file for a machine: 183 is aarch64, 62 x86-64. */
export function elf(machine: number): Uint8Array {
  const bytes = new Uint8Array(64);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  new DataView(bytes.buffer).setUint16(18, machine, true);
  return bytes;
}

/** security.capability in version 2 (20 bytes) or 3 (24 bytes), permitted and effective. */
export function capability(bits: number, version = 2): Uint8Array {
  const bytes = new Uint8Array(version === 2 ? 20 : 24);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, (version << 24) | 1, true);
  view.setUint32(4, bits, true);
  return bytes;
}
