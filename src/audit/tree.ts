import type { Disk } from './mbr.ts';

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

/** A file inside an archive of the image (the initramfs), or why the archive can't be read. */
export interface Archive {
  readonly path: string;
  readonly files: readonly ArchiveFile[];
  readonly error?: string;
}
export interface ArchiveFile {
  readonly path: string;
  readonly mode: number;
  readonly size: number;
  /** As in TreeEntry; empty for what is no regular file. */
  readonly head: Uint8Array;
  /** The content, for modules.builtin and modules.order alone. */
  readonly bytes?: Uint8Array;
}

/** A file system that can be asked; made from an image, from a plan, or by a test. */
export interface Tree {
  /** Links on the way are followed, the last component is not. */
  get(path: string): TreeEntry | undefined;
  /** Text of a regular file; undefined when absent or not kept. Links are followed inside the tree. */
  text(path: string): string | undefined;
  /** Hex SHA-256 of a regular file; undefined when absent. Links are followed. */
  sha256(path: string): string | undefined;
  /** Hex MD5, which is what dpkg records; undefined when absent. Links are followed. */
  md5(path: string): string | undefined;
  /** Sorted by path. */
  entries(): Iterable<TreeEntry>;
  /** Each initramfs on the boot partition, unpacked. */
  readonly archives: readonly Archive[];
  /** The partition table; undefined for trees that are not from an image. */
  readonly disk: Disk | undefined;
}

/** What a tree is made of: an entry, and for regular files bytes, or only their digests. */
export interface TreeNode extends TreeEntry {
  readonly bytes?: Uint8Array;
  readonly sha256?: string;
  readonly md5?: string;
}
