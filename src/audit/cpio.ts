import type { ArchiveFile } from './tree.ts';

/** The archive is damaged or of a kind that is not read. */
export class CpioError extends Error {
  override readonly name = 'CpioError';
}

export type Compression = 'gzip' | 'zstd' | 'xz';

const HEADER = 110;
const HEAD = 64;
const ASCII = new TextDecoder('latin1');
const UTF8 = new TextDecoder();
const REGULAR = 0o100000;
/** Lists of the kernel's modules: which machine can boot it is told from them. */
const KEPT = /\/modules\.(builtin|order)$/;

const MAGIC: readonly (readonly [Compression | 'lz4' | 'bzip2' | 'lzma', readonly number[]])[] = [
  ['gzip', [0x1f, 0x8b]],
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
  ['lz4', [0x02, 0x21, 0x4c, 0x18]],
  ['bzip2', [0x42, 0x5a, 0x68]],
  ['lzma', [0x5d, 0x00, 0x00]],
];

const isNewc = (bytes: Uint8Array, at: number): boolean => /^07070[12]$/.test(ASCII.decode(bytes.subarray(at, at + 6)));

/**
 * Reads one cpio archive in the "newc" form from `start` on, until its trailer. Gives the files and where it ended.
 * @throws CpioError
 */
export function parseCpio(bytes: Uint8Array, start = 0): { readonly files: ArchiveFile[]; readonly end: number } {
  const files: ArchiveFile[] = [];
  let at = start;
  while (true) {
    if (at + HEADER > bytes.length) throw new CpioError(`ends early at byte ${at}`);
    if (!isNewc(bytes, at)) throw new CpioError(`no cpio header at byte ${at}`);
    const field = (index: number): number => {
      const text = ASCII.decode(bytes.subarray(at + 6 + index * 8, at + 14 + index * 8));
      if (!/^[0-9A-Fa-f]{8}$/.test(text)) throw new CpioError(`damaged header at byte ${at}`);
      return Number.parseInt(text, 16);
    };
    const [mode, size, nameSize] = [field(1), field(6), field(11)];
    // Names and data are padded to four bytes, counted from the archive's start.
    const padded = (offset: number): number => start + Math.ceil((offset - start) / 4) * 4;
    const dataStart = padded(at + HEADER + nameSize);
    const end = padded(dataStart + size);
    if (nameSize === 0 || dataStart > bytes.length || dataStart + size > bytes.length) {
      throw new CpioError(`an entry at byte ${at} reaches over the end`);
    }
    const path = UTF8.decode(bytes.subarray(at + HEADER, at + HEADER + nameSize - 1));
    at = end;
    if (path === 'TRAILER!!!') return { files, end: Math.min(end, bytes.length) };
    const isFile = (mode & 0o170000) === REGULAR;
    const head = isFile ? bytes.slice(dataStart, dataStart + Math.min(HEAD, size)) : new Uint8Array();
    const kept = isFile && KEPT.test(path) ? { bytes: bytes.slice(dataStart, dataStart + size) } : {};
    files.push({ path, mode: mode & 0o7777, size, head, ...kept });
  }
}

/**
 * An initramfs: cpio archives one after the other with zeros between, the last one usually compressed.
 * @throws CpioError, and what `unpack` throws
 */
export async function readInitramfs(
  bytes: Uint8Array,
  unpack: (compression: Compression, data: Uint8Array) => Promise<Uint8Array>,
): Promise<ArchiveFile[]> {
  const files: ArchiveFile[] = [];
  let at = 0;
  while (at < bytes.length) {
    if (bytes[at] === 0) {
      at++;
      continue;
    }
    if (isNewc(bytes, at)) {
      const part = parseCpio(bytes, at);
      files.push(...part.files);
      at = part.end;
      continue;
    }
    const kind = MAGIC.find(([, magic]) => magic.every((byte, index) => bytes[at + index] === byte))?.[0];
    if (kind !== 'gzip' && kind !== 'zstd' && kind !== 'xz') {
      throw new CpioError(
        kind === undefined ? `unknown data at byte ${at}` : `compressed with ${kind}, which is not read`,
      );
    }
    const unpacked = await unpack(kind, bytes.subarray(at));
    if (!isNewc(unpacked, 0)) throw new CpioError(`no cpio archive in its ${kind} data`);
    files.push(...(await readInitramfs(unpacked, nested)));
    return files;
  }
  if (files.length === 0) throw new CpioError('holds no archive');
  return files;
}

async function nested(): Promise<Uint8Array> {
  throw new CpioError('compressed data within compressed data');
}
