import { isFat, type Partition, parseMbr, SECTOR } from '../audit/mbr.ts';
import { type Range, union, without } from './ranges.ts';
import type { ImageReader } from './source.ts';

// A block map made from a sparse file leaves out blocks of zeros. Most of them may be anything, since nobody reads
// them; those below are read, and on a card that was used before they would not be zeros.

async function read(reader: ImageReader, offset: number, length: number): Promise<DataView> {
  const bytes = new Uint8Array(length);
  await reader.read(bytes, offset);
  return new DataView(bytes.buffer);
}

const EXTENTS = 0xf30a;
const MAX_GROUPS = 1 << 16;

/** Boot sector, allocation tables and root folder of a FAT file system: a stale entry is a lost or crossed cluster. */
async function fatRanges(reader: ImageReader, part: Partition): Promise<Range[]> {
  const boot = await read(reader, part.start * SECTOR, SECTOR);
  const sectorSize = boot.getUint16(11, true);
  const perCluster = boot.getUint8(13);
  const reserved = boot.getUint16(14, true);
  const rootBytes = boot.getUint16(17, true) * 32;
  const perFat = boot.getUint16(22, true) || boot.getUint32(36, true);
  if (sectorSize < SECTOR || sectorSize > 4096 || boot.getUint16(510, true) !== 0xaa55) return [];
  // FAT32 keeps its root folder in the first cluster, as every mkfs makes it.
  const rootFolder = rootBytes === 0 ? perCluster * sectorSize : rootBytes;
  return [{ start: 0, length: (reserved + boot.getUint8(16) * perFat) * sectorSize + rootFolder }];
}

/** Extents of the journal, from the copy of its inode that the superblock keeps: only a tree without levels. */
function journalRanges(block: DataView, blockSize: number): Range[] {
  const at = 0x10c;
  if (block.getUint16(at, true) !== EXTENTS || block.getUint16(at + 6, true) !== 0) return [];
  const entries = Math.min(block.getUint16(at + 2, true), 4);
  return Array.from({ length: entries }, (_, index) => {
    const entry = at + 12 + index * 12;
    const length = block.getUint16(entry + 4, true);
    const first = block.getUint16(entry + 6, true) * 2 ** 32 + block.getUint32(entry + 8, true);
    return { start: first * blockSize, length: (length > 32768 ? length - 32768 : length) * blockSize };
  });
}

/**
 * Journal, bitmaps, descriptors and inode tables of an ext4 file system. A stale journal block from an earlier flash of
 * the same image has this file system's id and a valid checksum: a crash could replay it.
 */
async function ext4Ranges(reader: ImageReader, part: Partition): Promise<Range[]> {
  if (part.sectors < 8) return [];
  const start = part.start * SECTOR;
  const block = await read(reader, start + 1024, 1024);
  if (block.getUint16(0x38, true) !== 0xef53) return [];
  const blockSize = 1024 << Math.min(block.getUint32(0x18, true), 6);
  const wide = (block.getUint32(0x60, true) & 0x80) !== 0;
  const blocks = block.getUint32(4, true) + (wide ? block.getUint32(0x150, true) * 2 ** 32 : 0);
  const perGroup = block.getUint32(0x20, true);
  const inodeTable = block.getUint32(0x28, true) * (block.getUint16(0x58, true) || 128);
  const descriptor = wide ? Math.max(block.getUint16(0xfe, true), 32) : 32;
  const groups = perGroup === 0 ? 0 : Math.ceil(blocks / perGroup);
  const table = (block.getUint32(0x14, true) + 1) * blockSize;
  if (groups > MAX_GROUPS || table + groups * descriptor > part.sectors * SECTOR) return [];
  const entries = await read(reader, start + table, groups * descriptor);
  const found = [{ start: 0, length: table + groups * descriptor }, ...journalRanges(block, blockSize)];
  for (let at = 0; at < groups * descriptor; at += descriptor) {
    const place = (low: number): number =>
      entries.getUint32(at + low, true) + (descriptor >= 64 ? entries.getUint32(at + low + 32, true) * 2 ** 32 : 0);
    found.push({ start: place(0) * blockSize, length: blockSize });
    found.push({ start: place(4) * blockSize, length: blockSize });
    found.push({ start: place(8) * blockSize, length: inodeTable });
  }
  return found;
}

/**
 * Runs of an image that are read by whoever mounts it, so that they must be right even where its block map leaves them
 * out (then they are zeros). Bounded by the partitions whatever the file systems claim.
 */
export async function mustBeZero(reader: ImageReader, imageSize: number, mapped: readonly Range[]): Promise<Range[]> {
  const sector = await read(reader, 0, Math.min(SECTOR, imageSize));
  const table = parseMbr(new Uint8Array(sector.buffer), imageSize);
  if (!table.ok) return [];
  const wanted: Range[] = [];
  for (const part of [...table.disk.partitions].sort((a, b) => a.start - b.start)) {
    const end = part.sectors * SECTOR;
    for (const range of await (isFat(part) ? fatRanges : ext4Ranges)(reader, part)) {
      const length = Math.min(range.length, end - range.start);
      if (length > 0) wanted.push({ start: part.start * SECTOR + range.start, length });
    }
  }
  return union(wanted).flatMap((range) => without(range, mapped));
}
