// The engine's types leave WebAssembly out; this is the one thing of it that is used.
declare const WebAssembly: { readonly Memory: new (pages: { initial: number }) => { readonly buffer: ArrayBuffer } };

const WASM_PAGE = 65536;

/** The alignment that every direct transfer here keeps: offset, length and memory are multiples of it. */
export const BLOCK = 4096;

const known = new WeakSet<ArrayBufferLike>();

/**
 * Zeroed memory that starts at a page. Direct I/O demands that, and Node's own buffers start 16 bytes behind a page;
 * WebAssembly's memory is the one kind whose place Node lets one rely on.
 */
export function alignedBuffer(bytes: number): Uint8Array {
  const { buffer } = new WebAssembly.Memory({ initial: Math.ceil(bytes / WASM_PAGE) });
  known.add(buffer);
  return new Uint8Array(buffer, 0, bytes);
}

/** Whether bytes can be moved to or from `offset` directly. */
export const isAligned = (bytes: Uint8Array, offset: number): boolean =>
  known.has(bytes.buffer) && bytes.byteOffset % BLOCK === 0 && bytes.length % BLOCK === 0 && offset % BLOCK === 0;
