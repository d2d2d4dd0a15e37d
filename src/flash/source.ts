import { type FileHandle, open, readFile, stat } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { StepError, UserError } from '../core/errors.ts';
import type { Runner } from '../host/runner.ts';
import { runStream } from '../host/stream.ts';
import { type BlockMap, parseBmap, wholeMap } from './bmap.ts';
import { dataRanges } from './holes.ts';

/** Reads an image front to back: each call's offset is at or behind the end of the one before. */
export interface ImageReader {
  read(into: Uint8Array, offset: number): Promise<void>;
}

/** An image file, whatever it is packed in. */
export interface ImageSource {
  readonly path: string;
  readonly map: BlockMap;
  /** Where the map is from: what it leaves out reads as zeros with `holes`, and is unknown with `bmap`. */
  readonly origin: 'bmap' | 'holes' | 'whole';
  /** Opens the image anew for `use`. @throws StepError when it is damaged or its size is not the map's. */
  withReader<T>(use: (reader: ImageReader) => Promise<T>): Promise<T>;
}

type Packing = 'none' | 'zstd' | 'xz';
const UNPACK = { zstd: ['zstd', '-dc', '--long=31', '-q', '--'], xz: ['xz', '-dc', '-T0', '-q', '--'] } as const;
const PACKAGE = { zstd: 'zstd', xz: 'xz-utils' } as const;

async function packing(path: string): Promise<Packing> {
  const file = await open(path, 'r').catch((cause: unknown) => {
    throw new UserError({ message: `the image ${path} cannot be read`, hint: 'Is the path right?' }, { cause });
  });
  try {
    if ((await file.stat()).isDirectory()) throw new UserError(`${path} is a folder, not an image`);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(6), 0, 6, 0);
    const magic = buffer.subarray(0, bytesRead).toString('hex');
    if (magic.startsWith('28b52ffd')) return 'zstd';
    if (magic === 'fd377a585a00') return 'xz';
    const other = magic.startsWith('1f8b') ? 'gzip' : magic.startsWith('504b0304') ? 'zip' : undefined;
    if (other === undefined) return 'none';
    throw new UserError({
      message: `${path} is packed with ${other}`,
      hint: 'Unpack it first; .img, .img.zst and .img.xz are read.',
    });
  } finally {
    await file.close();
  }
}

/** Makes a stream readable by offset, forward only. */
export function streamReader(
  stdout: Readable,
): ImageReader & { readonly rest: () => Promise<number>; readonly ended: () => boolean } {
  const chunks: AsyncIterator<Uint8Array> = stdout[Symbol.asyncIterator]();
  let chunk: Uint8Array = new Uint8Array(0);
  let at = 0;
  let over = false;
  /** Up to `most` bytes of what comes next; empty at the end. */
  async function take(most: number): Promise<Uint8Array> {
    while (chunk.length === 0) {
      const next = await chunks.next();
      if (next.done === true) {
        over = true;
        return chunk;
      }
      chunk = next.value;
    }
    const part = chunk.subarray(0, most);
    chunk = chunk.subarray(part.length);
    at += part.length;
    return part;
  }
  return {
    async read(into, offset) {
      if (offset < at) throw new RangeError(`a stream cannot go back from ${at} to ${offset}`);
      for (let done = at - offset; done < into.length; ) {
        const part = await take(done < 0 ? -done : into.length - done);
        if (part.length === 0) throw new StepError(`the image ends at byte ${at}, earlier than it should`);
        if (done >= 0) into.set(part, done);
        done += part.length;
      }
    },
    async rest() {
      while ((await take(Number.POSITIVE_INFINITY)).length > 0);
      return at;
    },
    ended: () => over,
  };
}

async function unpacked<T>(
  kind: 'zstd' | 'xz',
  path: string,
  use: (reader: ReturnType<typeof streamReader>) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  let mine: { readonly error: unknown } | undefined;
  const consume = async (stdout: Readable): Promise<T> => {
    const reader = streamReader(stdout);
    return use(reader).catch((error: unknown) => {
      // The program's own complaint says more than that its output ended; of what went wrong here it knows nothing.
      if (!reader.ended()) mine = { error };
      // Its end is seen only when nobody has its output left to read.
      stdout.destroy();
      throw error;
    });
  };
  try {
    const { value } = await runStream([...UNPACK[kind], path], consume, signal);
    return value;
  } catch (cause) {
    signal?.throwIfAborted();
    if (mine !== undefined) throw mine.error;
    if (!(cause instanceof StepError)) throw cause;
    if (cause.message.startsWith('The program was not found')) {
      throw new UserError({
        message: `${kind} was not found; it is needed to read ${path}`,
        hint: `sudo apt install ${PACKAGE[kind]}`,
      });
    }
    const [problem] = cause.problems;
    throw new StepError({ message: `${path} cannot be unpacked`, hint: problem?.hint || cause.message }, { cause });
  }
}

async function rawReader(file: FileHandle, path: string): Promise<ImageReader> {
  return {
    async read(into, offset) {
      for (let done = 0; done < into.length; ) {
        const { bytesRead } = await file.read(into, done, into.length - done, offset + done);
        if (bytesRead === 0) throw new StepError(`${path} ends at byte ${offset + done}, earlier than it should`);
        done += bytesRead;
      }
    },
  };
}

/** The names that a map beside the image may have, best first. */
export function bmapNames(image: string): string[] {
  const bare = image.replace(/\.(zst|xz)$/, '');
  return [...new Set([`${image}.bmap`, `${bare}.bmap`, `${bare.replace(/\.img$/, '')}.bmap`])];
}

async function mapBeside(image: string): Promise<BlockMap | undefined> {
  for (const file of bmapNames(image)) {
    const bytes = await readFile(file).catch(() => undefined);
    if (bytes !== undefined) return parseBmap(bytes, file);
  }
  return undefined;
}

/**
 * Opens a .img, .img.zst or .img.xz (told by content, not by name), with the .bmap beside it if there is one.
 * Without a map, a sparse file's holes are found; a packed image is read once to learn its size, until `signal`.
 * @throws UserError when it is none of these, or its map is not its own.
 */
export async function openSource(path: string, runner: Runner, signal?: AbortSignal): Promise<ImageSource> {
  const kind = await packing(path);
  const mapped = await mapBeside(path);
  if (kind === 'none') {
    const { size } = await stat(path);
    if (size < 512) throw new UserError(`${path} has ${size} bytes, which is no image`);
    if (mapped !== undefined && mapped.imageSize !== size) {
      throw new UserError({
        message: `the block map beside ${path} is for an image of ${mapped.imageSize} bytes, this one has ${size}`,
        hint: 'One of them is from another build. Fetch both again, or move the map away.',
      });
    }
    const data = mapped === undefined ? await dataRanges(runner, path) : undefined;
    return {
      path,
      map: mapped ?? { ...wholeMap(size), ...(data === undefined ? {} : { ranges: data }) },
      origin: mapped !== undefined ? 'bmap' : data !== undefined ? 'holes' : 'whole',
      async withReader(use) {
        const file = await open(path, 'r');
        try {
          return await use(await rawReader(file, path));
        } finally {
          await file.close();
        }
      },
    };
  }
  const size = mapped?.imageSize ?? (await unpacked(kind, path, (reader) => reader.rest(), signal));
  return {
    path,
    map: mapped ?? wholeMap(size),
    origin: mapped === undefined ? 'whole' : 'bmap',
    withReader: (use) =>
      unpacked(kind, path, async (reader) => {
        const value = await use(reader);
        const found = await reader.rest();
        if (found !== size) throw new StepError(`${path} unpacks to ${found} bytes, its block map says ${size}`);
        return value;
      }),
  };
}

/** Reads a part of an image's beginning; the rest is not unpacked. */
export async function glance<T>(source: ImageSource, look: (reader: ImageReader) => Promise<T>): Promise<T> {
  let seen: { readonly value: T } | undefined;
  const enough = new Error('enough');
  await source
    .withReader(async (reader) => {
      seen = { value: await look(reader) };
      // Ends the program that unpacks.
      throw enough;
    })
    .catch((error: unknown) => {
      if (error !== enough) throw error;
    });
  if (seen === undefined) throw new StepError(`${source.path} could not be read`);
  return (seen as { readonly value: T }).value;
}
