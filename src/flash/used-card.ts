import { createHash } from 'node:crypto';
import { mkdir, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FatError, readFat } from '../audit/fat.ts';
import { type Disk, isFat, parseMbr, SECTOR } from '../audit/mbr.ts';
import { UserError } from '../core/errors.ts';
import type { Range } from './ranges.ts';
import { ioError, type Target, window } from './target.ts';

const LABEL = 'amslpr-data';
const MAGIC = Buffer.from('LUKS\xba\xbe', 'latin1');
const SECOND_MAGIC = Buffer.from('SKUL\xba\xbe', 'latin1');
/** Where LUKS2 keeps its second header, by the size of the first. */
const HEADERS = [0, ...Array.from({ length: 9 }, (_, shift) => 0x4000 << shift)];
const SLOT = 4;
/** The device keeps so much free behind root (for a LUKS header of its own), and refuses to adopt data without it. */
const BEHIND_ROOT = 32 * 1024 * 1024;
/** What a LUKS2 header occupies at most in our containers: both copies and all key slots. */
const LUKS_HEADER = 16 * 1024 * 1024;
/** The files of the boot partition that let somebody open the container again, or say whose card it was. */
const KEPT_FILES = new Set(['bundle.0', 'bundle.1', 'report.json', 'STATUS.TXT']);
const ENTRY = 446 + (SLOT - 1) * 16;

/** A card that an image of ours was on: a container with somebody's data is where partition 4 is. */
export interface UsedCard {
  readonly uuid: string;
  /** The data partition, in bytes. */
  readonly data: Range;
  /** The 16 bytes of partition 4 in the table. */
  readonly entry: Uint8Array;
  /** From its report, else from the container. */
  readonly hostname?: string;
  /** What is worth keeping, by file name. */
  readonly files: ReadonlyMap<string, Uint8Array>;
}

async function bootFiles(target: Target, disk: Disk): Promise<Map<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  const boot = disk.partitions.find((partition) => partition.slot === 1 && isFat(partition));
  if (boot === undefined) return files;
  try {
    for await (const entry of readFat(window(target, boot.start * SECTOR, boot.sectors * SECTOR))) {
      const name = entry.path.slice(1);
      if (entry.type !== 'file' || !KEPT_FILES.has(name) || entry.size > LUKS_HEADER) continue;
      const parts: Uint8Array[] = [];
      for await (const part of entry.read()) parts.push(part);
      files.set(name, Buffer.concat(parts));
    }
  } catch (error) {
    // A damaged boot partition is no reason to lose the header as well.
    if (!(error instanceof FatError)) throw error;
  }
  return files;
}

const HOST_NAME = /^[A-Za-z0-9.-]{1,253}$/;

function hostnameIn(report: Uint8Array | undefined): string | undefined {
  if (report === undefined) return undefined;
  try {
    const parsed: unknown = JSON.parse(Buffer.from(report).toString('utf8').replaceAll('\0', ''));
    const name = typeof parsed === 'object' && parsed !== null && 'hostname' in parsed ? parsed.hostname : undefined;
    return typeof name === 'string' && HOST_NAME.test(name) ? name : undefined;
  } catch {
    return undefined;
  }
}

/** Text of a field of the first header that is there. */
type Fields = (at: number, length: number) => string;

/** The first or a second header of a LUKS2 container: a damaged one is a reason to say more, not less. */
function luksFields(header: Uint8Array): Fields | undefined {
  for (const at of HEADERS) {
    const magic = header.subarray(at, at + 6);
    if (!MAGIC.equals(magic) && !SECOND_MAGIC.equals(magic)) continue;
    if (header[at + 6] !== 0 || header[at + 7] !== 2) continue;
    return (from, length) =>
      Buffer.from(header.subarray(at + from, at + from + length))
        .toString('latin1')
        .split('\0')[0] ?? '';
  }
  return undefined;
}

/** Looks whether the card holds data of ours. Reads only. @throws StepError when it cannot be read. */
export async function findUsedCard(target: Target): Promise<UsedCard | undefined> {
  if (target.size < SECTOR) return undefined;
  try {
    const sector = new Uint8Array(SECTOR);
    await target.read(sector, 0);
    const table = parseMbr(sector, target.size);
    const part = table.ok ? table.disk.partitions.find(({ slot }) => slot === SLOT) : undefined;
    if (!table.ok || part === undefined) return undefined;
    const data = { start: part.start * SECTOR, length: part.sectors * SECTOR };
    const header = new Uint8Array(Math.min(LUKS_HEADER, data.length));
    if (header.length < 4096) return undefined;
    await target.read(header, data.start);
    const field = luksFields(header);
    if (field?.(24, 48) !== LABEL) return undefined;
    const files = await bootFiles(target, table.disk);
    const owner = field(208, 48);
    const hostname = hostnameIn(files.get('report.json')) ?? (HOST_NAME.test(owner) ? owner : undefined);
    const uuid = field(168, 40).replace(/[^0-9a-f-]/gi, '');
    files.set('luks-header.img', header);
    files.set('partition-table.bin', sector);
    const entry = sector.slice(ENTRY, ENTRY + 16);
    return { uuid, data, entry, files, ...(hostname === undefined ? {} : { hostname }) };
  } catch (error) {
    throw ioError(error, target, 'looking for data on it');
  }
}

/** Puts partition 4 of a used card into a partition table, in place. */
export function keepEntry(card: UsedCard): (head: Uint8Array) => void {
  return (head) => {
    head.set(card.entry, ENTRY);
    head.set([0x55, 0xaa], 510);
  };
}

/** The bytes of a container that `--erase-data` overwrites: without its key slots the rest is noise. */
export const headerRange = (card: UsedCard): Range => ({
  start: card.data.start,
  length: Math.min(LUKS_HEADER, card.data.length),
});

/** @throws UserError when the image does not leave partition 4 alone, or no room behind root that the device needs. */
export function checkKeep(card: UsedCard, image: Disk): void {
  const inTheWay = image.partitions.find(
    (part) =>
      part.slot === SLOT ||
      (part.start * SECTOR < card.data.start + card.data.length &&
        card.data.start < (part.start + part.sectors) * SECTOR),
  );
  if (inTheWay !== undefined || image.size > card.data.start) {
    throw new UserError({
      message: `the data on the card cannot be kept: the image reaches into its place (partition ${inTheWay?.slot ?? 'end'})`,
      hint: 'Use another card and restore a backup, or give --erase-data.',
    });
  }
  const root = image.partitions.find((part) => part.slot === 2);
  const end = root === undefined ? 0 : (root.start + root.sectors) * SECTOR;
  if (card.data.start < end + BEHIND_ROOT) {
    throw new UserError({
      message: 'the data on the card cannot be kept: root needs 32 MiB more than the image has before that data',
      hint: 'Use another card and restore a backup, or give --erase-data.',
    });
  }
}

const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

async function holdsAll(folder: string, files: UsedCard['files']): Promise<boolean> {
  for (const [name, bytes] of files) {
    const there = await readFile(join(folder, name)).catch(() => undefined);
    if (there === undefined || digest(there) !== digest(bytes)) return false;
  }
  return true;
}

/**
 * Saves what opens and names the card's data to a folder of its own below `parent`, on disk before it returns, and
 * gives the folder. What was saved before is neither changed nor saved twice.
 */
export async function saveUsedCard(card: UsedCard, parent: string): Promise<string> {
  for (let copy = 1; ; copy++) {
    const folder = join(parent, `amslpr-card-${card.uuid}${copy === 1 ? '' : `-${copy}`}`);
    await mkdir(parent, { recursive: true });
    const isNew = await mkdir(folder, { mode: 0o700 }).then(
      () => true,
      (cause: unknown) => {
        if (cause instanceof Error && 'code' in cause && cause.code === 'EEXIST') return false;
        throw new UserError({ message: `what is on the card cannot be saved to ${folder}` }, { cause });
      },
    );
    if (!isNew) {
      if (await holdsAll(folder, card.files)) return folder;
      continue;
    }
    for (const [name, bytes] of card.files) {
      const file = await open(join(folder, name), 'wx', 0o600);
      await file.writeFile(bytes);
      await file.sync();
      await file.close();
    }
    for (const path of [folder, parent]) {
      const handle = await open(path, 'r');
      await handle.sync();
      await handle.close();
    }
    return folder;
  }
}
