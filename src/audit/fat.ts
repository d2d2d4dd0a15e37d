import type { ByteSource } from './bytes.ts';

export interface FatEntry {
  /** Below the partition's root, with a leading slash. */
  readonly path: string;
  readonly type: 'file' | 'directory';
  readonly size: number;
  /** Seconds since the epoch; FAT has two-second steps and no time zone, so UTC is taken. */
  readonly mtime: number;
  /** The content, in order. */
  read(): AsyncGenerator<Uint8Array>;
}

/** The partition is no FAT file system or a damaged one. */
export class FatError extends Error {
  override readonly name = 'FatError';
}

interface Layout {
  readonly bits: 12 | 16 | 32;
  readonly sectorSize: number;
  readonly clusterSize: number;
  readonly clusters: number;
  readonly fatStart: number;
  readonly fatSize: number;
  readonly dataStart: number;
  readonly rootStart: number;
  readonly rootSize: number;
  readonly rootCluster: number;
}

const MAX_FAT = 64 * 1024 * 1024;
const MAX_DIRECTORY = 2 * 1024 * 1024;
const CHUNK_CLUSTERS = 256;
const powerOfTwo = (value: number): boolean => value > 0 && (value & (value - 1)) === 0;

function readLayout(boot: Uint8Array, size: number): Layout {
  const view = new DataView(boot.buffer, boot.byteOffset, 512);
  const sectorSize = view.getUint16(11, true);
  const perCluster = view.getUint8(13);
  const reserved = view.getUint16(14, true);
  const fats = view.getUint8(16);
  const rootEntries = view.getUint16(17, true);
  const sectors = view.getUint16(19, true) || view.getUint32(32, true);
  const fatSectors = view.getUint16(22, true) || view.getUint32(36, true);
  if (boot[510] !== 0x55 || boot[511] !== 0xaa) throw new FatError('the partition has no FAT boot sector');
  if (!powerOfTwo(sectorSize) || sectorSize < 512 || sectorSize > 4096) {
    throw new FatError(`sectors of ${sectorSize} bytes`);
  }
  if (!powerOfTwo(perCluster)) throw new FatError(`clusters of ${perCluster} sectors`);
  if (reserved === 0 || fats === 0 || fatSectors === 0) throw new FatError('no room for its table');
  if (sectors * sectorSize > size) throw new FatError(`${sectors * sectorSize} bytes in a partition of ${size}`);
  const rootSize = rootEntries * 32;
  const rootStart = (reserved + fats * fatSectors) * sectorSize;
  const dataStart = rootStart + Math.ceil(rootSize / sectorSize) * sectorSize;
  const clusterSize = perCluster * sectorSize;
  const clusters = Math.floor((sectors * sectorSize - dataStart) / clusterSize);
  if (clusters <= 0) throw new FatError('no room for files');
  const bits = view.getUint16(22, true) === 0 ? 32 : clusters < 4085 ? 12 : 16;
  const fatSize = Math.ceil(((clusters + 2) * bits) / 8);
  if (fatSize > fatSectors * sectorSize || fatSize > MAX_FAT) throw new FatError(`a table for ${clusters} clusters`);
  const rootCluster = bits === 32 ? view.getUint32(44, true) : 0;
  const fatStart = reserved * sectorSize;
  return { bits, sectorSize, clusterSize, clusters, fatStart, fatSize, dataStart, rootStart, rootSize, rootCluster };
}

/** The next cluster of a chain, or undefined at its end. */
function nextCluster(fat: DataView, layout: Layout, cluster: number): number | undefined {
  const value =
    layout.bits === 32
      ? fat.getUint32(cluster * 4, true) & 0x0fffffff
      : layout.bits === 16
        ? fat.getUint16(cluster * 2, true)
        : ((fat.getUint8((cluster * 3) >> 1) | (fat.getUint8(((cluster * 3) >> 1) + 1) << 8)) >> ((cluster & 1) * 4)) &
          0xfff;
  const end = layout.bits === 32 ? 0x0ffffff8 : layout.bits === 16 ? 0xfff8 : 0xff8;
  return value >= end ? undefined : value;
}

/**
 * Every file and folder of a FAT12, 16 or 32 file system, folders before their content. Every cluster belongs to one
 * file, so damaged chains end in a FatError, never in a loop. Each entry's `read` must be used before the next entry.
 * `rootOnly` stays out of folders.
 * @throws FatError
 */
export async function* readFat(source: ByteSource, rootOnly = false): AsyncGenerator<FatEntry> {
  if (source.size < 512) throw new FatError(`a partition of ${source.size} bytes`);
  const layout = readLayout(await source.read(0, 512), source.size);
  // One byte more: the last FAT12 entry is read as two bytes.
  const table = new Uint8Array(layout.fatSize + 1);
  table.set(await source.read(layout.fatStart, layout.fatSize));
  const fat = new DataView(table.buffer);
  const used = new Uint8Array(layout.clusters + 2);

  function* chain(first: number, path: string, size: number | undefined): Generator<number> {
    let left = size === undefined ? Number.POSITIVE_INFINITY : Math.ceil(size / layout.clusterSize);
    let cluster: number | undefined = first;
    while (left-- > 0) {
      if (cluster === undefined) {
        if (size === undefined) return;
        throw new FatError(`${path} ends before its ${size} bytes`);
      }
      if (cluster < 2 || cluster >= layout.clusters + 2) throw new FatError(`${path} leads to cluster ${cluster}`);
      if (used[cluster] === 1) throw new FatError(`${path} shares cluster ${cluster}`);
      used[cluster] = 1;
      yield cluster;
      cluster = nextCluster(fat, layout, cluster);
    }
  }

  async function* content(first: number, path: string, size: number | undefined): AsyncGenerator<Uint8Array> {
    let left = size ?? Number.POSITIVE_INFINITY;
    let [start, length] = [0, 0];
    const flush = async (): Promise<Uint8Array> => {
      const bytes = Math.min(length * layout.clusterSize, left);
      left -= bytes;
      return source.read(layout.dataStart + (start - 2) * layout.clusterSize, bytes);
    };
    for (const cluster of chain(first, path, size)) {
      if (length > 0 && (cluster !== start + length || length === CHUNK_CLUSTERS)) {
        yield await flush();
        length = 0;
      }
      if (length === 0) start = cluster;
      length++;
    }
    if (length > 0) yield await flush();
  }

  async function folderBytes(first: number, path: string): Promise<Uint8Array> {
    const parts: Uint8Array[] = [];
    let total = 0;
    for await (const part of content(first, path, undefined)) {
      total += part.length;
      if (total > MAX_DIRECTORY) throw new FatError(`the folder ${path} is too big`);
      parts.push(part);
    }
    return Buffer.concat(parts);
  }

  async function* folder(bytes: Uint8Array, base: string): AsyncGenerator<FatEntry> {
    const names = new Set<string>();
    for (const record of parseFolder(bytes, base || '/')) {
      const path = `${base}/${record.name}`;
      if (names.has(record.name.toLowerCase())) throw new FatError(`${path} is there twice`);
      names.add(record.name.toLowerCase());
      const cluster = layout.bits === 32 ? record.cluster : record.cluster & 0xffff;
      const { size, mtime } = record;
      yield { path, type: record.type, size, mtime, read: () => content(size === 0 ? 0 : cluster, path, size) };
      if (record.type === 'directory' && !rootOnly) yield* folder(await folderBytes(cluster, path), path);
    }
  }

  const root =
    layout.bits === 32
      ? await folderBytes(layout.rootCluster, '/')
      : await source.read(layout.rootStart, layout.rootSize);
  yield* folder(root, '');
}

interface FolderRecord {
  readonly name: string;
  readonly type: 'file' | 'directory';
  readonly cluster: number;
  readonly size: number;
  readonly mtime: number;
}

function* parseFolder(bytes: Uint8Array, path: string): Generator<FolderRecord> {
  let long: { text: string; sum: number; left: number } | undefined;
  for (let at = 0; at + 32 <= bytes.length; at += 32) {
    const raw = bytes.subarray(at, at + 32);
    const view = new DataView(raw.buffer, raw.byteOffset, 32);
    const first = view.getUint8(0);
    const attributes = view.getUint8(11);
    if (first === 0) return;
    if (first === 0xe5) {
      long = undefined;
      continue;
    }
    if ((attributes & 0x3f) === 0x0f) {
      const [order, sum] = [first & 0x3f, view.getUint8(13)];
      const starts = (first & 0x40) !== 0;
      const goesOn: boolean = long !== undefined && long.left === order && long.sum === sum;
      if (order === 0 || order > 20 || (!starts && !goesOn)) long = undefined;
      else long = { text: longPart(view) + (starts ? '' : (long?.text ?? '')), sum, left: order - 1 };
      continue;
    }
    const isLabel = (attributes & 0x08) !== 0;
    const whole: string | undefined = long?.left === 0 && long.sum === checksum(raw) ? long.text : undefined;
    long = undefined;
    const name = whole ?? shortName(raw);
    if (isLabel || name === '.' || name === '..') continue;
    if (name === '' || /[/\0]/.test(name)) throw new FatError(`${path} holds a damaged name`);
    const type = (attributes & 0x10) !== 0 ? 'directory' : 'file';
    const cluster = view.getUint16(20, true) * 65536 + view.getUint16(26, true);
    const size = type === 'directory' ? 0 : view.getUint32(28, true);
    yield { name, type, cluster, size, mtime: fatTime(view.getUint16(24, true), view.getUint16(22, true)) };
  }
}

/** The up to 13 UTF-16 units that one long-name record carries. */
function longPart(view: DataView): string {
  let text = '';
  for (const at of [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30]) {
    const unit = view.getUint16(at, true);
    if (unit === 0) break;
    text += String.fromCharCode(unit);
  }
  return text;
}

function checksum(raw: Uint8Array): number {
  let sum = 0;
  for (const byte of raw.subarray(0, 11)) sum = ((((sum & 1) << 7) | (sum >> 1)) + byte) & 0xff;
  return sum;
}

function shortName(raw: Uint8Array): string {
  const text = String.fromCharCode(raw[0] === 0x05 ? 0xe5 : (raw[0] ?? 0), ...raw.subarray(1, 11));
  const lower = raw[12] ?? 0;
  const base = text.slice(0, 8).trimEnd();
  const extension = text.slice(8).trimEnd();
  const name = (lower & 0x08) !== 0 ? base.toLowerCase() : base;
  if (extension === '') return name;
  return `${name}.${(lower & 0x10) !== 0 ? extension.toLowerCase() : extension}`;
}

function fatTime(date: number, time: number): number {
  const [year, month, day] = [1980 + (date >> 9), (date >> 5) & 15, date & 31];
  return Date.UTC(year, month - 1, day, time >> 11, (time >> 5) & 63, (time & 31) * 2) / 1000;
}
