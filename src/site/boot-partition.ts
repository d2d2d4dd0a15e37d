import { open } from 'node:fs/promises';
import { type ByteSource, fileSource } from '../audit/bytes.ts';
import { FatError, readFat } from '../audit/fat.ts';
import { isFat, parseMbr, SECTOR } from '../audit/mbr.ts';
import { StepError, UserError } from '../core/errors.ts';
import { hostRunner } from '../host/runner.ts';

export interface BootPartition {
  readonly image: string;
  /** Bytes from the start of the image. */
  readonly offset: number;
  readonly size: number;
}

/** Finds the FAT partition of an image. @throws UserError when there is none */
export async function findBootPartition(image: string): Promise<BootPartition> {
  const file = await open(image, 'r').catch((cause: NodeJS.ErrnoException) => {
    const reason = cause.code === 'ENOENT' ? 'there is no such file' : `it can't be opened (${cause.code})`;
    throw new UserError(`${image}: ${reason}`, { cause });
  });
  try {
    const found = await file.stat();
    if (found.isDirectory()) throw new UserError(`${image} is a folder`);
    const sector = new Uint8Array(SECTOR);
    const { bytesRead } = await file.read(sector, 0, SECTOR, 0);
    // A block device has no size of its own here; the image that was written fits, as flash made sure.
    const mbr = parseMbr(sector.subarray(0, bytesRead), found.isBlockDevice() ? Number.MAX_SAFE_INTEGER : found.size);
    if (!mbr.ok) throw new UserError(`${image} is no image of a card: ${mbr.error}`);
    const boot = mbr.disk.partitions.find(isFat);
    if (boot === undefined) throw new UserError(`${image} has no FAT partition to boot from`);
    return { image, offset: boot.start * SECTOR, size: boot.sectors * SECTOR };
  } finally {
    await file.close();
  }
}

export interface BootFiles {
  readonly names: readonly string[];
  readonly contents: ReadonlyMap<string, Buffer>;
}

/**
 * Content of the wanted files (paths with a leading slash) that are there, and the names of all files. `bytes` gives the
 * partition's bytes from somewhere else than the file, such as from the medium without this machine's memory between.
 */
export async function readBootFiles(
  boot: BootPartition,
  wanted: (path: string) => boolean,
  bytes?: ByteSource,
): Promise<BootFiles> {
  const file = await open(boot.image, 'r');
  try {
    const names: string[] = [];
    const contents = new Map<string, Buffer>();
    for await (const entry of readFat(bytes ?? fileSource(file, boot.offset, boot.size))) {
      if (entry.type !== 'file') continue;
      names.push(entry.path);
      if (!wanted(entry.path)) continue;
      const parts: Uint8Array[] = [];
      for await (const part of entry.read()) parts.push(Uint8Array.from(part));
      contents.set(entry.path, Buffer.concat(parts));
    }
    return { names, contents };
  } catch (cause) {
    if (!(cause instanceof FatError || cause instanceof RangeError)) throw cause;
    throw new UserError(`${boot.image}: its boot partition can't be read: ${cause.message}`, { cause });
  } finally {
    await file.close();
  }
}

/**
 * Puts one file onto the boot partition, in place of one with that name, and reads it back, from `bytes` where given.
 * The content goes through a pipe: it is in no command line and in no other file.
 * @throws StepError when mtools is missing, the partition is full, or other bytes came back
 */
export async function writeBootFile(
  boot: BootPartition,
  path: string,
  content: string,
  bytes?: ByteSource,
): Promise<void> {
  await hostRunner
    .run(['mcopy', '-o', '-i', `${boot.image}@@${boot.offset}`, '-', `::${path}`], {
      input: content,
      env: { MTOOLSRC: '/dev/null' },
      timeout: 60,
    })
    .catch((cause: unknown) => {
      if (!(cause instanceof StepError && cause.message.startsWith('The program was not found'))) throw cause;
      throw new StepError(
        { message: 'mcopy was not found; it writes the site file into the image', hint: 'sudo apt-get install mtools' },
        { cause },
      );
    });
  if (bytes !== undefined) {
    const file = await open(boot.image, 'r');
    await file.sync().finally(() => file.close());
  }
  const { contents } = await readBootFiles(boot, (name) => name === path, bytes);
  if (contents.get(path)?.toString() !== content) throw new StepError(`${path} did not come back as it was written`);
}
