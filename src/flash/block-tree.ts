/** One node of lsblk's tree: a disk, a partition, or what is built on top of one (dm, md). Sizes in bytes. */
export interface BlockDevice {
  readonly kname: string;
  /** As lsblk names it: /dev/sdb, /dev/mapper/vg-root. */
  readonly path: string;
  /** disk, part, crypt, lvm, raid1, loop, rom ... */
  readonly type: string;
  readonly size: number;
  readonly removable: boolean;
  readonly hotplug: boolean;
  readonly readOnly: boolean;
  /** usb, nvme, sata, mmc; empty when lsblk does not know. */
  readonly transport: string;
  /** The chain of buses, such as block:scsi:usb:pci. */
  readonly subsystems: readonly string[];
  readonly vendor: string;
  readonly model: string;
  readonly serial: string;
  readonly fstype: string;
  readonly label: string;
  /** Of the file system, not of the disk. */
  readonly uuid: string;
  /** Where it is mounted in this mount namespace; [SWAP] for swap. */
  readonly mountpoints: readonly string[];
  readonly children: readonly BlockDevice[];
}

/** What lsblk does not tell: contents of /sys/block/NAME, trimmed. */
export interface SysfsFacts {
  /** device/type of an mmc device: SD or MMC (soldered eMMC). */
  readonly cardType?: string;
  /** The names in holders/ of the disk and of its partitions. */
  readonly holders?: readonly string[];
}

/** Everything that decisions about devices rest on, so that they can be made from a recording. */
export interface Snapshot {
  /** The parsed output of `lsblk --json -b -O`. */
  readonly lsblk: unknown;
  /** By kernel name of the disk. */
  readonly sysfs: Readonly<Record<string, SysfsFacts>>;
}

const MAX_DEPTH = 32;
const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;
// Labels and names are of whoever made the medium: none may move the cursor or turn the line that a person confirms.
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu;
const text = (value: unknown): string => (typeof value === 'string' ? value.replace(UNSEEN, ' ').trim() : '');
// Older versions of lsblk print numbers and booleans as strings.
const flag = (value: unknown): boolean => value === true || value === 1 || value === '1';
const count = (value: unknown): number => {
  const number = typeof value === 'string' && value !== '' ? Number(value) : value;
  return typeof number === 'number' && Number.isSafeInteger(number) && number >= 0 ? number : 0;
};
const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

function device(value: unknown, depth: number): BlockDevice[] {
  if (!isRecord(value) || depth > MAX_DEPTH) return [];
  const kname = text(value['kname']) || text(value['name']);
  if (kname === '') return [];
  const mountpoints = [...list(value['mountpoints']), value['mountpoint']].map(text).filter((point) => point !== '');
  return [
    {
      kname,
      path: text(value['path']) || `/dev/${kname}`,
      type: text(value['type']),
      size: count(value['size']),
      removable: flag(value['rm']),
      hotplug: flag(value['hotplug']),
      readOnly: flag(value['ro']),
      transport: text(value['tran']),
      subsystems: text(value['subsystems']).split(':'),
      vendor: text(value['vendor']),
      model: text(value['model']),
      serial: text(value['serial']),
      fstype: text(value['fstype']),
      label: text(value['label']),
      uuid: text(value['uuid']),
      mountpoints: [...new Set(mountpoints)],
      children: list(value['children']).flatMap((child) => device(child, depth + 1)),
    },
  ];
}

/** The top level of lsblk's tree; entries that make no sense are left out. */
export function blockTree(lsblk: unknown): BlockDevice[] {
  return isRecord(lsblk) ? list(lsblk['blockdevices']).flatMap((entry) => device(entry, 0)) : [];
}

/** A device and all that lies on it. */
export function family(root: BlockDevice): BlockDevice[] {
  return [root, ...root.children.flatMap(family)];
}
