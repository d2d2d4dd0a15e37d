/** One entry of an image's file system, as the ext4 and FAT readers give it. */
export interface TreeEntry {
  /** Absolute path in the image; the boot partition's files stand below /boot/firmware. */
  readonly path: string;
  readonly type: 'file' | 'directory' | 'symlink' | 'char' | 'block' | 'fifo' | 'socket';
  /** Permission bits with SUID, SGID and sticky (0o7777). */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes. */
  readonly size: number;
  /** Seconds since the epoch. */
  readonly mtime: number;
  readonly target?: string;
  /** First bytes of a regular file (up to 64), enough to tell an ELF file and its machine. */
  readonly head?: Uint8Array;
  /** Extended attributes, raw. */
  readonly xattrs?: Readonly<Record<string, Uint8Array>>;
}

/** A file system that can be asked; made from an image, from a plan, or by a test. */
export interface Tree {
  get(path: string): TreeEntry | undefined;
  /** Text of a regular file; undefined when absent. Links are followed inside the tree. */
  text(path: string): string | undefined;
  /** Hex SHA-256 of a regular file; undefined when absent. */
  sha256(path: string): string | undefined;
  entries(): Iterable<TreeEntry>;
}
