/** A primary partition of an MBR. Sectors have 512 bytes. */
export interface Partition {
  /** 1 to 4. */
  readonly slot: number;
  /** The type byte: 0x0c is FAT32 with LBA, 0x83 Linux. */
  readonly type: number;
  readonly bootable: boolean;
  readonly start: number;
  readonly sectors: number;
}

export interface Disk {
  /** Bytes of the whole image. */
  readonly size: number;
  /** The 32-bit disk signature: PARTUUIDs are `<signature as 8 hex digits>-<slot as 2 digits>`. */
  readonly signature: number;
  /** The slots in use, by slot. */
  readonly partitions: readonly Partition[];
}

export const SECTOR = 512;
export const TYPE = { fat32: 0x0c, fat32Chs: 0x0b, linux: 0x83, gpt: 0xee } as const;

export type MbrResult = { readonly ok: true; readonly disk: Disk } | { readonly ok: false; readonly error: string };

const TABLE = 446;
const EXTENDED = new Set([0x05, 0x0f, 0x85]);
/** The FAT types of small boot partitions on cards that others made. */
const FAT_TYPES = new Set<number>([0x01, 0x04, 0x06, 0x0e, TYPE.fat32, TYPE.fat32Chs]);

export const isFat = (partition: Partition): boolean => FAT_TYPES.has(partition.type);

/** The PARTUUID that the kernel and udev give a partition. */
export function partUuid(disk: Disk, slot: number): string {
  return `${disk.signature.toString(16).padStart(8, '0')}-${slot.toString(16).padStart(2, '0')}`;
}

/** Reads the first sector of an image of `size` bytes. Never throws: what is wrong comes back as a sentence. */
export function parseMbr(sector: Uint8Array, size: number): MbrResult {
  if (sector.length < SECTOR) return { ok: false, error: `the image has only ${sector.length} bytes` };
  if (sector[510] !== 0x55 || sector[511] !== 0xaa) {
    return { ok: false, error: 'there is no partition table (no 55 aa at the end of the first sector)' };
  }
  const view = new DataView(sector.buffer, sector.byteOffset, SECTOR);
  const partitions: Partition[] = [];
  for (let slot = 1; slot <= 4; slot++) {
    const at = TABLE + (slot - 1) * 16;
    const status = view.getUint8(at);
    const type = view.getUint8(at + 4);
    const start = view.getUint32(at + 8, true);
    const sectors = view.getUint32(at + 12, true);
    if (type === 0) continue;
    if (type === TYPE.gpt) return { ok: false, error: 'the partition table is a GPT, a Raspberry Pi image has an MBR' };
    if (status !== 0 && status !== 0x80) {
      return { ok: false, error: `partition ${slot} has status byte ${status}, so this is no partition table` };
    }
    if (EXTENDED.has(type)) return { ok: false, error: `partition ${slot} is an extended one, which is not supported` };
    if (start === 0 || sectors === 0) return { ok: false, error: `partition ${slot} is empty or starts at sector 0` };
    if ((start + sectors) * SECTOR > size) {
      return { ok: false, error: `partition ${slot} ends at byte ${(start + sectors) * SECTOR}, the image at ${size}` };
    }
    partitions.push({ slot, type, bootable: status === 0x80, start, sectors });
  }
  if (partitions.length === 0) return { ok: false, error: 'the partition table is empty' };
  const byStart = [...partitions].sort((a, b) => a.start - b.start);
  for (const [index, next] of byStart.entries()) {
    const before = byStart[index - 1];
    if (before !== undefined && before.start + before.sectors > next.start) {
      return { ok: false, error: `partitions ${before.slot} and ${next.slot} overlap` };
    }
  }
  return { ok: true, disk: { size, signature: view.getUint32(440, true), partitions } };
}
