import { createHash } from 'node:crypto';
import { anyPattern } from './paths.ts';

/** What a reader keeps of a regular file beside its digests. */
export interface Content {
  readonly head: Uint8Array;
  readonly sha256: string;
  readonly md5: string;
  readonly bytes?: Uint8Array;
}

const HEAD = 64;
const SMALL = 256 * 1024;
const DPKG = 16 * 1024 * 1024;
/** Texts that checks and scans read. */
const KEPT = anyPattern([
  '/etc/**',
  '/usr/lib/systemd/**',
  '/usr/local/**',
  '/usr/lib/amslpr/**',
  '/usr/share/amslpr/**',
  '/opt/**',
  '/root/**',
  '/home/**',
  '/srv/**',
  '/var/lib/amslpr*/**',
  '/boot/**',
  '/usr/lib/tmpfiles.d/**',
  '/usr/lib/sysusers.d/**',
  '/usr/lib/sysctl.d/**',
  '/usr/lib/modprobe.d/**',
]);

/** Which files' bytes are kept: those that checks can name, plus `more` patterns whatever their size up to 16 MiB. */
export function keepRule(more: readonly string[]): (path: string, size: number) => boolean {
  const named = anyPattern(more);
  return (path, size) => {
    if (size <= SMALL && KEPT(path)) return true;
    return size <= DPKG && (path.startsWith('/var/lib/dpkg/') || named(path));
  };
}

/** Reads a file once: digests, its first bytes, and all of them when `keep` says so. */
export async function collect(chunks: AsyncIterable<Uint8Array>, keep: boolean): Promise<Content> {
  const [sha256, md5] = [createHash('sha256'), createHash('md5')];
  const parts: Uint8Array[] = [];
  let head = new Uint8Array();
  for await (const chunk of chunks) {
    sha256.update(chunk);
    md5.update(chunk);
    if (head.length < HEAD) head = Uint8Array.from([...head, ...chunk.subarray(0, HEAD - head.length)]);
    if (keep) parts.push(Uint8Array.from(chunk));
  }
  const digests = { head, sha256: sha256.digest('hex'), md5: md5.digest('hex') };
  return keep ? { ...digests, bytes: Buffer.concat(parts) } : digests;
}
