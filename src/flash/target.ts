import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import type { ByteSource } from '../audit/bytes.ts';
import { StepError, UserError } from '../core/errors.ts';
import { alignedBuffer, BLOCK, isAligned } from './aligned.ts';

/** What an image is written to: a card, a file, or in tests something that misbehaves. Offsets and sizes in bytes. */
export interface Target {
  readonly name: string;
  readonly size: number;
  /** Reads come from the medium, not from this machine's memory. */
  readonly direct: boolean;
  /** Fills `into`. */
  read(into: Uint8Array, offset: number): Promise<void>;
  write(bytes: Uint8Array, offset: number): Promise<void>;
  /** Returns when everything written is on the medium. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

/** A part of a target, such as a partition. */
export const window = (target: Target, start: number, size: number): ByteSource => ({
  size,
  async read(offset, length) {
    if (offset < 0 || offset + length > size) throw new RangeError(`no ${length} bytes at ${offset}`);
    const bytes = new Uint8Array(length);
    await target.read(bytes, start + offset);
    return bytes;
  },
});

/** Error numbers of a device that is no longer there, or that fails as one that is being pulled does. */
const GONE = new Set(['EIO', 'ENXIO', 'ENODEV', 'ENOMEDIUM', 'EREMOTEIO', 'ESHUTDOWN', 'EBADFD']);

const codeOf = (thrown: unknown): string =>
  thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : '';

/** Turns an I/O error into words; what is no I/O error is passed on. */
export function ioError(thrown: unknown, target: { readonly name: string }, doing: string, offset?: number): unknown {
  const code = codeOf(thrown);
  if (code === '' || thrown instanceof UserError) return thrown;
  const place = offset === undefined ? '' : ` at ${Math.floor(offset / 1048576)} MiB`;
  if (GONE.has(code)) {
    return new StepError(
      {
        message: `${target.name} was pulled out, or it or its reader fails (${code} while ${doing}${place})`,
        hint: 'The card is not usable as it is. Put it in again and start over; if it fails at the same place, replace it.',
      },
      { cause: thrown },
    );
  }
  if (code === 'ENOSPC') {
    return new StepError({ message: `${target.name}: no space left while ${doing}${place}` }, { cause: thrown });
  }
  return new StepError({ message: `${target.name}: ${code} while ${doing}${place}` }, { cause: thrown });
}

async function openDirect(path: string, flags: number): Promise<FileHandle | undefined> {
  return open(path, flags | constants.O_DIRECT).catch((cause: unknown) => {
    // File systems such as older tmpfs have no direct I/O.
    if (codeOf(cause) === 'EINVAL') return undefined;
    throw cause;
  });
}

async function readFully(file: FileHandle, into: Uint8Array, offset: number, least: number): Promise<void> {
  for (let done = 0; done < least; ) {
    const { bytesRead } = await file.read(into, done, into.length - done, offset + done);
    if (bytesRead === 0) throw Object.assign(new Error(`ends at ${offset + done}`), { code: 'EIO' });
    done += bytesRead;
  }
}

async function writeFully(file: FileHandle, bytes: Uint8Array, offset: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, offset + done);
    if (bytesWritten === 0) throw Object.assign(new Error(`takes nothing at ${offset + done}`), { code: 'EIO' });
    done += bytesWritten;
  }
}

/** Bytes that may be written to the page cache before they are forced out, where there is no direct I/O. */
const SYNC_EVERY = 64 * 1024 * 1024;

/**
 * Opens a block device or a regular file of `size` bytes for direct I/O; where the file system has none, writes are
 * forced out every 64 MiB. A block device is taken exclusively, so that a mounted or mapped one is refused by the kernel
 * even when nothing in this mount namespace shows it.
 * @throws UserError when it is in use or may not be written.
 */
export async function openTarget(path: string, size: number, kind: 'device' | 'file'): Promise<Target> {
  const flags = constants.O_RDWR | (kind === 'device' ? constants.O_EXCL : 0);
  const refused = (cause: unknown): never => {
    const code = codeOf(cause);
    if (code === 'EBUSY') throw new UserError({ message: `${path} is in use by something on this machine` }, { cause });
    if (code === 'EACCES' || code === 'EPERM') {
      throw new UserError({ message: `you may not write ${path}`, hint: 'Run the same command with sudo.' }, { cause });
    }
    if (code === 'EROFS') throw new UserError({ message: `${path} is write-protected` }, { cause });
    throw ioError(cause, { name: path }, 'opening it');
  };
  const buffered = await open(path, flags).catch(refused);
  const raw = await openDirect(path, constants.O_RDWR).catch(async (cause: unknown) => {
    await buffered.close();
    return refused(cause);
  });
  /** The kernel sets the size of a disk that was pulled to 0: it has no space then, and is not full. */
  const gone = (cause: unknown): never => {
    if (kind !== 'device' || codeOf(cause) !== 'ENOSPC') throw cause;
    throw Object.assign(new Error('no disk is there any more', { cause }), { code: 'ENODEV' });
  };
  const fast = (bytes: Uint8Array, offset: number): boolean =>
    isAligned(bytes, offset) && offset + bytes.length <= size;
  let unsynced = 0;

  async function writeSlow(bytes: Uint8Array, offset: number): Promise<void> {
    await writeFully(buffered, bytes, offset);
    unsynced += bytes.length;
    if (raw === undefined && unsynced < SYNC_EVERY) return;
    unsynced = 0;
    await buffered.datasync();
  }

  return {
    name: path,
    size,
    direct: raw !== undefined,
    async read(into, offset) {
      if (offset < 0 || offset + into.length > size) throw new RangeError(`no ${into.length} bytes at ${offset}`);
      if (raw === undefined) return readFully(buffered, into, offset, into.length);
      if (fast(into, offset)) return readFully(raw, into, offset, into.length);
      // Bytes off the grid come through a window on it; the medium may end inside the last block.
      const first = Math.floor(offset / BLOCK) * BLOCK;
      const window = alignedBuffer(Math.ceil((offset + into.length - first) / BLOCK) * BLOCK);
      await readFully(raw, window, first, offset + into.length - first);
      into.set(window.subarray(offset - first, offset - first + into.length));
    },
    async write(bytes, offset) {
      if (offset < 0 || offset + bytes.length > size) throw new RangeError(`no ${bytes.length} bytes at ${offset}`);
      const direct = raw !== undefined && fast(bytes, offset);
      await (direct ? writeFully(raw, bytes, offset) : writeSlow(bytes, offset)).catch(gone);
    },
    flush: () => buffered.datasync(),
    async close() {
      await raw?.close();
      await buffered.close();
    },
  };
}
