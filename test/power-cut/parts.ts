import { createDecipheriv } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { type Partition, parseMbr } from '../../src/audit/mbr.ts';
import { hostRunner } from '../../src/host/runner.ts';
import { readAt } from './card.ts';
import { SECTOR } from './write-log.ts';

const STEP = 1024 * 1024;

/** The partitions of a raw card, by slot. @throws RangeError when there is no table */
export async function partitionsOf(card: string): Promise<ReadonlyMap<number, Partition>> {
  const file = await open(card, 'r');
  try {
    const { size } = await file.stat();
    const found = parseMbr(await readAt(file, 0, SECTOR), size);
    if (!found.ok) throw new RangeError(found.error);
    return new Map(found.disk.partitions.map((one) => [one.slot, one]));
  } finally {
    await file.close();
  }
}

/** Copies one partition into a file of its own, holes and all. */
export async function copyPartition(card: string, { start, sectors }: Partition, out: string): Promise<void> {
  await transform(card, start * SECTOR, sectors * SECTOR, out, (bytes) => bytes);
}

/** Copies a window of a file; pieces of zeros stay holes and are not given to `change`. */
async function transform(
  from: string,
  start: number,
  size: number,
  out: string,
  change: (bytes: Buffer, at: number) => Buffer,
): Promise<void> {
  const [source, target] = [await open(from, 'r'), await open(out, 'w')];
  try {
    await target.truncate(size);
    for (let at = 0; at < size; at += STEP) {
      const bytes = await readAt(source, start + at, Math.min(STEP, size - at));
      await putUnlessZero(target, bytes, at, change);
    }
  } finally {
    await source.close();
    await target.close();
  }
}

async function putUnlessZero(
  target: FileHandle,
  bytes: Buffer,
  at: number,
  change: (bytes: Buffer, at: number) => Buffer,
): Promise<void> {
  if (bytes.equals(ZEROS.subarray(0, bytes.length))) return;
  const changed = change(bytes, at);
  await target.write(changed, 0, changed.length, at);
}

const ZEROS = Buffer.alloc(STEP);
const DATA_SECTOR = 4096;

/**
 * Decrypts a LUKS2 container in a file without the kernel, which tests cannot ask for a mapping: cryptsetup gives the
 * volume key, and AES-XTS is the same everywhere. Sectors of zeros were never written, and stay so.
 * @throws RangeError for a cipher other than aes-xts-plain64 with sectors of 4096 bytes
 */
export async function decryptContainer(container: string, keyFile: string, out: string): Promise<void> {
  const meta = await hostRunner.run(['cryptsetup', 'luksDump', '--dump-json-metadata', container]);
  const { segments } = JSON.parse(meta.stdout) as {
    segments: Record<string, { encryption: string; sector_size: number; offset: string }>;
  };
  const segment = segments['0'];
  if (segment?.encryption !== 'aes-xts-plain64' || segment.sector_size !== DATA_SECTOR) {
    throw new RangeError(`a container of ${segment?.encryption} cannot be read here`);
  }
  const key = await volumeKey(container, keyFile);
  const offset = Number(segment.offset);
  const file = await open(container, 'r');
  const { size } = await file.stat();
  await file.close();
  await transform(container, offset, size - offset, out, (bytes, at) => {
    const plain = Buffer.alloc(bytes.length);
    for (let done = 0; done < bytes.length; done += DATA_SECTOR) {
      const sector = bytes.subarray(done, done + DATA_SECTOR);
      if (sector.equals(ZEROS.subarray(0, DATA_SECTOR))) continue;
      const number = Buffer.alloc(16);
      number.writeBigUInt64LE(BigInt((at + done) / SECTOR));
      decipher(key, number, sector).copy(plain, done);
    }
    return plain;
  });
}

function decipher(key: Buffer, number: Buffer, sector: Buffer): Buffer {
  const cipher = createDecipheriv('aes-256-xts', key, number);
  return Buffer.concat([cipher.update(sector), cipher.final()]);
}

async function volumeKey(container: string, keyFile: string): Promise<Buffer> {
  const { stdout } = await hostRunner.run([
    ...['cryptsetup', 'luksDump', '--batch-mode', '--dump-volume-key', '--key-file', keyFile, container],
  ]);
  const hex = /MK dump:\s*((?:[0-9a-f]{2}\s+)+)/.exec(`${stdout}\n`)?.[1];
  if (hex === undefined) throw new RangeError('cryptsetup gave no volume key');
  return Buffer.from(hex.replace(/\s+/g, ''), 'hex');
}

/**
 * What e2fsck says of a file system that was never unmounted and is as it must be: the kernel brings the sums in the
 * superblock up to date at an unmount only, and counts them anew at a mount. Those of each group are in the journal.
 */
const HARMLESS =
  /^(Pass \d.*|Free (blocks|inodes) count wrong \(.*|Feature orphan_present is set but orphan file is clean\.|(Fix|Clear)\? no|\S+: \*+ WARNING: Filesystem still has errors \*+|\S+: \d+\/\d+ files .*|)$/;

/** What is wrong in the words of e2fsck; empty when nothing is. */
export const faults = (said: string): string =>
  said
    .split('\n')
    .filter((line) => !HARMLESS.test(line.trim()))
    .join('\n')
    .slice(-600);

/** Does what a mount would do after a cut, then looks for anything that is wrong; empty when nothing is. */
export async function checkExt4(file: string): Promise<string> {
  // 1: the journal was done over. Whatever else is wrong is for the check.
  await hostRunner.run(['e2fsck', '-y', '-E', 'journal_only', file], { okCodes: [0, 1, 2, 3, 4] });
  const { code, stdout } = await hostRunner.run(['e2fsck', '-fn', file], { okCodes: [0, 4, 8, 12] });
  if (code >= 8) return stdout.trim().slice(-600) || `e2fsck ended with ${code}`;
  return faults(stdout);
}

/** Whether an ext4 file system has this file. */
export async function hasFile(file: string, path: string): Promise<boolean> {
  return (await hostRunner.run(['debugfs', '-R', `stat ${path}`, file])).stdout.includes('Type: regular');
}

/** Where containers begin, in bytes: LUKS2 headers, looked for at each multiple of 1 MiB. */
export async function containersOn(card: string): Promise<number[]> {
  const file = await open(card, 'r');
  try {
    const { size } = await file.stat();
    const found: number[] = [];
    for (let at = 0; at < size; at += STEP) {
      if ((await readAt(file, at, LUKS.length)).equals(LUKS)) found.push(at);
    }
    return found;
  } finally {
    await file.close();
  }
}

const LUKS = Buffer.from('4c554b53babe0002', 'hex');

/** Content of files of an ext4 file system; empty for those that are not there. */
export async function readFiles(file: string, paths: readonly string[]): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const path of paths) {
    found[path] = (await hostRunner.run(['debugfs', '-R', `cat ${path}`, file])).stdout;
  }
  return found;
}
