import type { ByteSource } from '../audit/bytes.ts';
import { FatError, readFat } from '../audit/fat.ts';
import { type Disk, isFat, parseMbr, SECTOR } from '../audit/mbr.ts';
import { UserError } from '../core/errors.ts';
import { glance, type ImageReader, type ImageSource } from './source.ts';

/** What an image's beginning says about it. */
export interface ImageFacts {
  readonly disk: Disk;
  /** Made by this project: the device makes an encrypted data partition behind root. */
  readonly ours: boolean;
  /** Files in the root folder of the boot partition, with a leading slash. */
  readonly bootFiles: readonly string[];
}

const GIBIBYTE = 2 ** 30;
/**
 * Names in the root folder of a boot partition. An image comes front to back: what a FAT has first is read first, and a
 * root folder that continues before its beginning is read only so far.
 */
async function bootFiles(reader: ImageReader, start: number, size: number): Promise<string[]> {
  let at = 0;
  const source: ByteSource = {
    size,
    read: async (offset, length) => {
      if (offset < at) throw new FatError('not in order');
      const bytes = new Uint8Array(length);
      await reader.read(bytes, start + offset);
      at = offset + length;
      return bytes;
    },
  };
  const names: string[] = [];
  try {
    for await (const entry of readFat(source, true)) if (entry.type === 'file') names.push(entry.path);
  } catch (error) {
    if (!(error instanceof FatError)) throw error;
  }
  return names;
}

/** @throws UserError when a file is no image that a Pi boots from: a card that held it would be lost for nothing */
export function imageFacts(source: ImageSource): Promise<ImageFacts> {
  return glance(source, async (reader) => {
    const sector = new Uint8Array(SECTOR);
    const { imageSize } = source.map;
    const refuse = (why: string): never => {
      throw new UserError({
        message: `${source.path} is no image that a Raspberry Pi starts from: ${why}`,
        hint: 'Give the .img, .img.zst or .img.xz that a build made.',
      });
    };
    if (imageSize < SECTOR) return refuse(`it has ${imageSize} bytes`);
    await reader.read(sector, 0);
    const table = parseMbr(sector, imageSize);
    if (!table.ok) return refuse(table.error);
    const boot = table.disk.partitions.find(isFat);
    const names = boot === undefined ? [] : await bootFiles(reader, boot.start * SECTOR, boot.sectors * SECTOR);
    return { disk: table.disk, ours: names.includes('/bundle.0'), bootFiles: names };
  });
}

/**
 * The smallest card, in bytes, on which the device finds the room it wants: root grown by 1 GiB and as much for data.
 * For images of others it is the image's size.
 */
export function smallestCard(facts: ImageFacts, imageSize: number): number {
  const root = facts.disk.partitions.find(({ slot }) => slot === 2);
  if (!facts.ours || root === undefined) return imageSize;
  return Math.max(imageSize, (root.start + root.sectors) * SECTOR + 2 * GIBIBYTE);
}
