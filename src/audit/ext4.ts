import type { Readable } from 'node:stream';
import tar from 'tar-stream';
import { StepError, UserError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import { runStream } from '../host/stream.ts';
import { collect } from './collect.ts';
import { type Partition, SECTOR } from './mbr.ts';
import type { AuditTools } from './tools.ts';
import type { TreeNode } from './tree.ts';

/** Bigger files with holes get no digest: nobody wants to hash a terabyte of zeros. */
const MAX_SPARSE = 1024 * 1024 * 1024;
const TYPES: Readonly<Record<string, TreeNode['type']>> = {
  file: 'file',
  'contiguous-file': 'file',
  directory: 'directory',
  symlink: 'symlink',
  'character-device': 'char',
  'block-device': 'block',
  fifo: 'fifo',
};

/** Every file of the ext4 file system in a partition of an image, unprivileged and without a mount. */
export async function readExt4(
  image: string,
  partition: Partition,
  options: {
    readonly tools: AuditTools;
    readonly keep: (path: string, size: number) => boolean;
    readonly log: Log;
    readonly signal: AbortSignal | undefined;
  },
): Promise<TreeNode[]> {
  const [start, size] = [partition.start * SECTOR, partition.sectors * SECTOR];
  try {
    const { value, stderr } = await runStream(
      [...options.tools.ext4Tar, image, String(start), String(size), '-b'],
      (stdout) => readTar(stdout, options.keep),
      options.signal,
    );
    for (const line of stderr.split('\n').filter((text) => text !== '')) options.log({ kind: 'warning', text: line });
    return value;
  } catch (cause) {
    if (!(cause instanceof StepError) || options.signal?.aborted === true) throw cause;
    const reason = cause.problems[0]?.hint || cause.message;
    throw new UserError(
      { message: `${image}: partition ${partition.slot} can't be read as ext4: ${reason}` },
      { cause },
    );
  }
}

/** The entries of a tar stream in the form that ext4-tar -b writes. */
export async function readTar(stdout: Readable, keep: (path: string, size: number) => boolean): Promise<TreeNode[]> {
  const nodes = new Map<string, TreeNode>();
  const extract = tar.extract();
  stdout.on('error', (error) => extract.destroy(error));
  stdout.pipe(extract);
  for await (const entry of extract) {
    const { header } = entry;
    const pax = records(header.pax);
    const path = normalise(pax['GNU.sparse.name'] ?? header.name);
    if (header.type === 'link') {
      const first = nodes.get(normalise(header.linkname ?? ''));
      if (first !== undefined) nodes.set(path, { ...first, path });
      entry.resume();
      continue;
    }
    const type = TYPES[header.type ?? ''];
    if (type === undefined) throw new UserError(`${path}: a tar entry of type ${header.type}`);
    const sparse = pax['GNU.sparse.realsize'];
    const size = sparse === undefined ? (header.size ?? 0) : Number(sparse);
    const node: TreeNode = {
      path,
      type,
      mode: header.mode ?? 0,
      uid: Number(pax['uid'] ?? header.uid ?? 0),
      gid: Number(pax['gid'] ?? header.gid ?? 0),
      size,
      mtime: Number(pax['mtime'] ?? (header.mtime?.getTime() ?? 0) / 1000),
      ...(type === 'symlink' ? { target: header.linkname ?? '' } : {}),
      ...attributes(pax),
    };
    if (type !== 'file') {
      nodes.set(path, node);
      entry.resume();
    } else if (sparse === undefined) {
      nodes.set(path, { ...node, ...(await collect(chunksOf(entry), keep(path, size))) });
    } else if (size > MAX_SPARSE) {
      nodes.set(path, node);
      entry.resume();
    } else {
      nodes.set(path, { ...node, ...(await collect(expand(chunksOf(entry), size), keep(path, size))) });
    }
  }
  return [...nodes.values()];
}

function records(pax: unknown): Readonly<Record<string, string>> {
  const found = typeof pax === 'object' && pax !== null ? Object.entries(pax) : [];
  return Object.fromEntries(found.flatMap(([key, value]) => (typeof value === 'string' ? [[key, value]] : [])));
}

/** The library's entries are streams of bytes, which its types do not say. */
async function* chunksOf(entry: AsyncIterable<unknown>): AsyncGenerator<Uint8Array> {
  for await (const chunk of entry) {
    if (chunk instanceof Uint8Array) yield chunk;
  }
}

const normalise = (name: string): string => `/${name.replace(/^\.?\/*/, '').replace(/\/+$/, '')}`;

/** Base64 values, names with %XX: libarchive's form, the only one that survives a reader that takes values for text. */
function attributes(pax: Readonly<Record<string, string>>): Pick<TreeNode, 'xattrs'> {
  const prefix = 'LIBARCHIVE.xattr.';
  const found = Object.entries(pax).filter(([key]) => key.startsWith(prefix));
  if (found.length === 0) return {};
  return {
    xattrs: Object.fromEntries(
      found.map(([key, value]) => [decodeURIComponent(key.slice(prefix.length)), Buffer.from(value, 'base64')]),
    ),
  };
}

/** The content of a file in GNU's sparse format 1.0: a map of offsets and lengths as text, padded, then the data. */
async function* expand(chunks: AsyncIterable<Uint8Array>, size: number): AsyncGenerator<Uint8Array> {
  let held = Buffer.alloc(0);
  let map: number[] | undefined;
  let [at, piece] = [0, 0];
  for await (const chunk of chunks) {
    held = held.length === 0 ? Buffer.from(chunk) : Buffer.concat([held, chunk]);
    if (map === undefined) {
      const parsed = sparseMap(held);
      if (parsed === undefined) continue;
      map = parsed.map;
      held = held.subarray(parsed.length);
    }
    while (held.length > 0 && piece * 2 + 1 < map.length) {
      const [offset = 0, length = 0] = map.slice(piece * 2, piece * 2 + 2);
      if (at < offset) yield* zeros(offset - at);
      at = Math.max(at, offset);
      const part = held.subarray(0, offset + length - at);
      if (part.length > 0) yield part;
      at += part.length;
      held = held.subarray(part.length);
      if (at >= offset + length) piece++;
    }
  }
  yield* zeros(size - at);
}

function sparseMap(bytes: Buffer): { map: number[]; length: number } | undefined {
  const padded = bytes.subarray(0, bytes.length - (bytes.length % 512)).toString('latin1');
  const lines = padded.split('\n');
  const pairs = Number(lines[0]);
  if (lines.length <= pairs * 2 + 1) return undefined;
  const text = lines.slice(0, pairs * 2 + 1);
  const used = text.join('\n').length + 1;
  return { map: text.slice(1).map(Number), length: Math.ceil(used / 512) * 512 };
}

function* zeros(length: number): Generator<Uint8Array> {
  const block = new Uint8Array(65536);
  for (let left = length; left > 0; left -= block.length) yield left >= block.length ? block : block.subarray(0, left);
}
