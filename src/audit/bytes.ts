import type { FileHandle } from 'node:fs/promises';

/** Bytes that can be read from any place: a partition of an image, or memory in tests. */
export interface ByteSource {
  readonly size: number;
  /** Exactly `length` bytes; rejects when the source ends before. */
  read(offset: number, length: number): Promise<Uint8Array>;
}

export function memorySource(bytes: Uint8Array): ByteSource {
  return {
    size: bytes.length,
    read: async (offset, length) => {
      if (offset < 0 || offset + length > bytes.length) throw new RangeError(`no ${length} bytes at ${offset}`);
      return bytes.subarray(offset, offset + length);
    },
  };
}

/** A window of an open file. */
export function fileSource(file: FileHandle, start: number, size: number): ByteSource {
  return {
    size,
    read: async (offset, length) => {
      if (offset < 0 || offset + length > size) throw new RangeError(`no ${length} bytes at ${offset}`);
      const bytes = new Uint8Array(length);
      for (let done = 0; done < length; ) {
        const { bytesRead } = await file.read(bytes, done, length - done, start + offset + done);
        if (bytesRead === 0) throw new RangeError(`the file ends before ${start + offset + length}`);
        done += bytesRead;
      }
      return bytes;
    },
  };
}
