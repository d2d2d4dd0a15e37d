import { createWriteStream } from 'node:fs';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { UserError } from '../core/errors.ts';
import { type Log, silent } from '../core/log.ts';
import { runStream } from '../host/stream.ts';
import { fileSource } from './bytes.ts';
import { collect, keepRule } from './collect.ts';
import { type Compression, CpioError, readInitramfs } from './cpio.ts';
import { readExt4 } from './ext4.ts';
import { FatError, readFat } from './fat.ts';
import { type Disk, isFat, type Partition, parseMbr, SECTOR, TYPE } from './mbr.ts';
import { memoryTree } from './memory-tree.ts';
import { type AuditTools, hostTools } from './tools.ts';
import type { Archive, Tree, TreeNode } from './tree.ts';

export interface ReadOptions {
  /** Further files whose text is needed: paths or patterns. */
  readonly keep?: readonly string[];
  /** Default: the host's own programs. */
  readonly tools?: AuditTools;
  readonly log?: Log;
  /** Ends the programs and rejects; temporary files are removed. */
  readonly signal?: AbortSignal;
}

const BOOT = '/boot/firmware';
const INITRAMFS = /^\/boot\/(?:firmware\/)?init(?:rd|ramfs)[^/]*$/;
const MAX_INITRAMFS = 256 * 1024 * 1024;
const MAX_UNPACKED = 1024 * 1024 * 1024;

/**
 * The file systems of any Raspberry Pi image (.img, .img.zst, .img.xz) as one tree, read without privileges and without
 * a mount. The image is only read; a compressed one is unpacked to a temporary file that is removed again.
 * @throws UserError for what is no such image: GPT, no FAT or ext4 partition, damaged or truncated file systems
 */
export async function readImage(path: string, options: ReadOptions = {}): Promise<Tree> {
  const tools = options.tools ?? (await hostTools());
  const compression = /\.(zst|xz)$/.exec(path)?.[1];
  if (compression === undefined) return readPlain(path, tools, options);
  const folder = await mkdtemp(join(tmpdir(), 'amslpr-audit-'));
  try {
    const plain = join(folder, 'image.img');
    const program = compression === 'xz' ? tools.xz : tools.zstd;
    await runStream([...program, '-dc', path], (stdout) => pipeline(stdout, createWriteStream(plain)), options.signal);
    return await readPlain(plain, tools, options, path);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function readPlain(path: string, tools: AuditTools, options: ReadOptions, shown = path): Promise<Tree> {
  const keep = keepRule(options.keep ?? []);
  const disk = await readDisk(path, shown);
  const boot = disk.partitions.find(isFat);
  const root = disk.partitions.find((partition) => partition.type === TYPE.linux);
  if (boot === undefined) throw notAnImage(shown, 'there is no FAT partition to boot from');
  if (root === undefined) throw notAnImage(shown, 'there is no Linux partition');
  const log = options.log ?? silent;
  const nodes = (await readExt4(path, root, { tools, keep, log, signal: options.signal })).filter(
    (node) => !node.path.startsWith(`${BOOT}/`),
  );
  const initramfs = new Map<string, Uint8Array>();
  await readBoot(
    path,
    shown,
    boot,
    (node) => {
      const { bytes } = node;
      if (bytes === undefined || !INITRAMFS.test(node.path)) nodes.push(node);
      else {
        initramfs.set(node.path, bytes);
        nodes.push(withoutBytes(node));
      }
    },
    keep,
  );
  return memoryTree(nodes, { disk, archives: await readArchives(initramfs, tools) });
}

function withoutBytes(node: TreeNode): TreeNode {
  const { bytes: _, ...rest } = node;
  return rest;
}

const notAnImage = (path: string, reason: string): UserError =>
  new UserError({
    message: `${path} is no Raspberry Pi image that can be audited: ${reason}`,
    hint: 'Give an .img, .img.zst or .img.xz with an MBR, a FAT boot partition and an ext4 root partition.',
  });

async function readDisk(path: string, shown: string): Promise<Disk> {
  const file = await open(path, 'r').catch((cause: NodeJS.ErrnoException) => {
    const reason = cause.code === 'ENOENT' ? 'There is no such file' : `It can't be opened (${cause.code})`;
    throw new UserError({ message: `${shown}: ${reason}` }, { cause });
  });
  try {
    const { size } = await file.stat();
    const sector = new Uint8Array(SECTOR);
    const { bytesRead } = await file.read(sector, 0, SECTOR, 0).catch((cause: NodeJS.ErrnoException) => {
      throw new UserError({ message: `${shown} can't be read (${cause.code})` }, { cause });
    });
    const result = parseMbr(sector.subarray(0, bytesRead), size);
    if (!result.ok) throw notAnImage(shown, result.error);
    return result.disk;
  } finally {
    await file.close();
  }
}

async function readBoot(
  path: string,
  shown: string,
  partition: Partition,
  add: (node: TreeNode) => void,
  keep: (path: string, size: number) => boolean,
): Promise<void> {
  const file = await open(path, 'r');
  try {
    const source = fileSource(file, partition.start * SECTOR, partition.sectors * SECTOR);
    // The mount point hides what the root file system has there; without one, it is made.
    for (const folder of ['/boot', BOOT]) {
      add({ path: folder, type: 'directory', mode: 0o755, uid: 0, gid: 0, size: 0, mtime: 0 });
    }
    for await (const entry of readFat(source)) {
      const at = `${BOOT}${entry.path}`;
      const isInitramfs = INITRAMFS.test(at) && entry.size <= MAX_INITRAMFS;
      const content =
        entry.type === 'file' ? await collect(entry.read(), isInitramfs || keep(at, entry.size)) : undefined;
      const { type, size, mtime } = entry;
      add({ path: at, type, mode: 0o755, uid: 0, gid: 0, size, mtime, ...content });
    }
  } catch (cause) {
    if (!(cause instanceof FatError || cause instanceof RangeError)) throw cause;
    throw new UserError(
      { message: `${shown}: partition ${partition.slot} can't be read as FAT: ${cause.message}` },
      { cause },
    );
  } finally {
    await file.close();
  }
}

async function readArchives(files: ReadonlyMap<string, Uint8Array>, tools: AuditTools): Promise<Archive[]> {
  const archives: Archive[] = [];
  for (const [path, bytes] of files) {
    try {
      archives.push({ path, files: await readInitramfs(bytes, (kind, data) => unpackInitramfs(kind, data, tools)) });
    } catch (error) {
      if (!(error instanceof CpioError || error instanceof UserError)) throw error;
      archives.push({ path, files: [], error: error.message });
    }
  }
  return archives;
}

/** Unpacks the compressed part of an initramfs. @throws CpioError when it is damaged or too big */
export async function unpackInitramfs(kind: Compression, data: Uint8Array, tools: AuditTools): Promise<Uint8Array> {
  if (kind === 'gzip') {
    return promisify(gunzip)(data, { maxOutputLength: MAX_UNPACKED }).catch((error: Error) => {
      throw new CpioError(`damaged gzip data (${error.message})`);
    });
  }
  const program = kind === 'xz' ? tools.xz : tools.zstd;
  return (await runStream([...program, '-dc'], bounded, undefined, data)).value;
}

async function bounded(stdout: Readable): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let total = 0;
  for await (const part of stdout as AsyncIterable<Uint8Array>) {
    total += part.length;
    if (total > MAX_UNPACKED) throw new CpioError(`more than ${MAX_UNPACKED} bytes when unpacked`);
    parts.push(part);
  }
  return Buffer.concat(parts);
}
