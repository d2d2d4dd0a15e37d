import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { type Entry, SECTOR } from './write-log.ts';

/** A raw card to which the requests of a log are done one after the other, and undone again. */
export interface Card extends AsyncDisposable {
  readonly path: string;
  /** Does a request; of a write, with `keep`, only the sectors (counted from its first) for which that is true. */
  apply(entry: Entry, log: FileHandle, keep?: (sector: number) => boolean): Promise<void>;
  /** Names what is on the card, compared to what was there when it was opened: the same name, the same card. */
  state(): string;
  /** Remembers all that is done from now on; what it returns takes the card back to now. */
  remember(): () => Promise<void>;
}

const STEP = 64 * 1024;

/** The digest is a sum (exclusive or) over all sectors that differ, so that it does not depend on the way. */
export async function openCard(path: string): Promise<Card> {
  const file = await open(path, 'r+');
  const digest = new Uint32Array(4);
  let undo: { readonly at: number; readonly bytes: Buffer }[] | undefined;

  const count = (sector: number, bytes: Buffer): void => {
    const place = Buffer.alloc(8);
    place.writeBigUInt64LE(BigInt(sector));
    const hash = createHash('sha256').update(place).update(bytes).digest();
    for (let word = 0; word < 4; word += 1) digest[word] = (digest[word] ?? 0) ^ hash.readUInt32LE(word * 4);
  };

  async function put(sector: number, bytes: Buffer): Promise<void> {
    const old = await readAt(file, sector * SECTOR, bytes.length);
    if (old.equals(bytes)) return;
    for (let at = 0; at < bytes.length; at += SECTOR) {
      const [before, after] = [old.subarray(at, at + SECTOR), bytes.subarray(at, at + SECTOR)];
      if (before.equals(after)) continue;
      count(sector + at / SECTOR, before);
      count(sector + at / SECTOR, after);
    }
    undo?.push({ at: sector * SECTOR, bytes: old });
    await file.write(bytes, 0, bytes.length, sector * SECTOR);
  }

  async function apply(entry: Entry, log: FileHandle, keep?: (sector: number) => boolean): Promise<void> {
    if (entry.kind === 'flush') return;
    for (let done = 0; done < entry.sectors; done += STEP / SECTOR) {
      const sectors = Math.min(STEP / SECTOR, entry.sectors - done);
      if (entry.kind === 'discard') {
        // What was never written stays a hole.
        const old = await readAt(file, (entry.sector + done) * SECTOR, sectors * SECTOR);
        if (old.some((byte) => byte !== 0)) await put(entry.sector + done, Buffer.alloc(old.length));
        continue;
      }
      const bytes = await readAt(log, entry.at + done * SECTOR, sectors * SECTOR);
      if (keep === undefined) await put(entry.sector + done, bytes);
      else {
        for (let at = 0; at < sectors; at += 1) {
          if (keep(done + at)) await put(entry.sector + done + at, bytes.subarray(at * SECTOR, (at + 1) * SECTOR));
        }
      }
    }
  }

  return {
    path,
    apply,
    state: () => Buffer.from(digest.buffer).toString('hex'),
    remember() {
      const [saved, list, outer] = [Uint32Array.from(digest), [] as { at: number; bytes: Buffer }[], undo];
      undo = list;
      return async () => {
        for (const { at, bytes } of list.reverse()) await file.write(bytes, 0, bytes.length, at);
        digest.set(saved);
        undo = outer;
      };
    },
    [Symbol.asyncDispose]: () => file.close(),
  };
}

/** Bytes of a file; zeros behind its end. */
export async function readAt(file: FileHandle, at: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  for (let done = 0; done < length; ) {
    const { bytesRead } = await file.read(bytes, done, length - done, at + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return bytes;
}
