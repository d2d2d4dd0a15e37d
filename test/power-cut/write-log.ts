import { type FileHandle, open } from 'node:fs/promises';

// The log of QEMU's driver blklogwrites, which has the format of Linux's dm-log-writes: a superblock, then entries, each
// a header of one sector and what was written. All numbers are 64 bits, little-endian.

export const SECTOR = 512;
const MAGIC = 0x6a736677736872n;
const FLUSH = 1n;
const FUA = 2n;
const DISCARD = 4n;
const MARK = 8n;

/** One request of the guest, in the order of the log. */
export type Entry =
  | {
      readonly kind: 'write';
      readonly sector: number;
      readonly sectors: number /** Of the data in the log. */;
      readonly at: number;
    }
  | { readonly kind: 'discard'; readonly sector: number; readonly sectors: number }
  /** Everything before it is on the card. */
  | { readonly kind: 'flush' };

/** An entry, and the byte of the log where it ends: how far the log was when it was written. */
export interface Logged {
  readonly entry: Entry;
  readonly end: number;
}

const BLOCK = 1024 * 1024;

/**
 * Reads a log to its end. The superblock counts entries only now and then, so that the end is where the file ends, where
 * an entry is cut off, or where a header of zeros stands. `from`: the byte where an entry ended that is known already.
 * @throws RangeError when this is no such log, or an entry makes no sense
 */
export async function readWriteLog(path: string, from = SECTOR): Promise<Logged[]> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    const read = buffered(file, size);
    const start = await read(0);
    // QEMU writes the superblock with the first flush.
    if (start?.every((byte) => byte === 0) === true) return [];
    if (start === undefined || start.readBigUInt64LE(0) !== MAGIC) throw new RangeError(`${path} is no log of writes`);
    if (start.readUInt32LE(24) !== SECTOR) throw new RangeError(`${path} does not have sectors of ${SECTOR} bytes`);
    const found: Logged[] = [];
    for (let at = from; ; ) {
      const header = await read(at);
      const next = header === undefined ? undefined : parse(header, at, size);
      if (next === undefined) return found;
      const end = Math.max(...next.map((entry) => endOf(entry, at)), at + SECTOR);
      found.push(...next.map((entry) => ({ entry, end })));
      at = end;
    }
  } finally {
    await file.close();
  }
}

const endOf = (entry: Entry, at: number): number => at + SECTOR + (entry.kind === 'write' ? entry.sectors * SECTOR : 0);

/** Entries of one header: a write that is to be on the card at once counts as a write and a flush. */
function parse(header: Buffer, at: number, size: number): Entry[] | undefined {
  const [sector, sectors] = [Number(header.readBigUInt64LE(0)), Number(header.readBigUInt64LE(8))];
  const flags = header.readBigUInt64LE(16);
  if (flags === 0n && sectors === 0) return undefined;
  if (flags & ~(FLUSH | FUA | DISCARD | MARK)) throw new RangeError(`entry at byte ${at}: flags ${flags}`);
  if (flags & MARK) throw new RangeError(`entry at byte ${at} is a mark: nobody asked for one`);
  const before: Entry[] = flags & FLUSH ? [{ kind: 'flush' }] : [];
  if (sectors === 0) return before;
  if (flags & DISCARD) return [...before, { kind: 'discard', sector, sectors }];
  const write: Entry = { kind: 'write', sector, sectors, at: at + SECTOR };
  if (endOf(write, at) > size) return undefined;
  return [...before, write, ...(flags & FUA ? [{ kind: 'flush' } as const] : [])];
}

function buffered(file: FileHandle, size: number): (at: number) => Promise<Buffer | undefined> {
  const block = Buffer.alloc(BLOCK);
  let from = -1;
  let length = 0;
  return async (at) => {
    if (at + SECTOR > size) return undefined;
    if (from < 0 || at < from || at + SECTOR > from + length) {
      from = at;
      ({ bytesRead: length } = await file.read(block, 0, BLOCK, at));
      if (length < SECTOR) return undefined;
    }
    return Buffer.from(block.subarray(at - from, at - from + SECTOR));
  };
}
