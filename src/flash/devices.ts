import { UserError } from '../core/errors.ts';
import { type BlockDevice, blockTree, family, type Snapshot, type SysfsFacts } from './block-tree.ts';

/** A whole disk and whether it may be written. */
export interface Verdict {
  readonly device: BlockDevice;
  readonly offered: boolean;
  /** Every reason against it, as sentences without a full stop; empty when offered. */
  readonly reasons: readonly string[];
  /** What to do about the first reason, where there is something to do. */
  readonly hint?: string;
}

/** Mount points that make a disk the running system's. */
const SYSTEM_MOUNT = /^(\/|\[SWAP\]|\/(boot|usr|var|home|root|etc|opt|srv|nix|efi|run\/live|cdrom)(\/.*)?)$/;
/** Kinds of lsblk that are no medium one could pull out. */
const VIRTUAL: Readonly<Record<string, string>> = {
  loop: 'it is a loop device; give the file behind it instead',
  rom: 'it is an optical drive',
  crypt: 'it is an opened LUKS container, not a disk',
  lvm: 'it is a logical volume, not a disk',
  dm: 'it is a device-mapper target, not a disk',
};
/** Members of something that needs no mount of its own to be in use, and whose holders lsblk cannot see. */
const POOL_MEMBERS = new Set(['zfs_member', 'bcache', 'ceph_bluestore']);
/** File systems over several disks: lsblk shows the mount point at one of them, their id at each. */
const SPREAD = new Set(['btrfs', 'bcachefs']);
const GIGABYTE = 1e9;

export const gigabytes = (bytes: number): string => `${(bytes / GIGABYTE).toFixed(bytes < 10 * GIGABYTE ? 2 : 1)} GB`;

/** How the device is plugged in, or undefined when nobody can pull it out. */
function plug(device: BlockDevice, facts: SysfsFacts): string | undefined {
  if (device.kname.startsWith('mmcblk')) {
    // The kernel calls no mmc device removable; only the card's own type tells a card from soldered memory.
    return facts.cardType === 'SD' ? 'SD card' : undefined;
  }
  if (device.transport === 'usb' || device.subsystems.includes('usb')) return 'USB';
  return device.removable ? 'removable' : undefined;
}

const describe = (node: BlockDevice): string => `${node.path}${node.type === 'part' ? '' : ` (${node.type})`}`;

/** Ids of mounted file systems that may have other disks as well. */
const spreadIds = (tree: readonly BlockDevice[]): Set<string> =>
  new Set(
    tree
      .flatMap(family)
      .filter((node) => SPREAD.has(node.fstype) && node.uuid !== '' && node.mountpoints.length > 0)
      .map((node) => node.uuid),
  );

function usage(
  device: BlockDevice,
  facts: SysfsFacts,
  spread: ReadonlySet<string>,
): { reasons: string[]; hint?: string } {
  const nodes = family(device);
  const mounted = nodes.flatMap((node) => node.mountpoints.map((point) => ({ node, point })));
  const system = mounted.filter(({ point }) => SYSTEM_MOUNT.test(point));
  const say = (found: typeof mounted) => found.map(({ node, point }) => `${describe(node)} is ${point}`).join(', ');
  if (system.length > 0) return { reasons: [`it holds the running system: ${say(system)}`] };
  if (mounted.length > 0) {
    const commands = mounted.map(({ node, point }) => (point.startsWith('/') ? `umount ${node.path}` : ''));
    return {
      reasons: [`it is in use: ${mounted.map(({ node, point }) => `${describe(node)} on ${point}`).join(', ')}`],
      hint: `Make sure that it is the right one, then: ${[...new Set(commands.filter(Boolean))].join('; ')}`,
    };
  }
  const onTop = nodes.filter((node) => node !== device && node.type !== 'part');
  const holders = [...new Set([...onTop.map(describe), ...(facts.holders ?? []).map((name) => `/dev/${name}`)])];
  const seen = new Set(onTop.map((node) => `/dev/${node.kname}`));
  const named = holders.filter((name) => !seen.has(name));
  if (named.length > 0) {
    return {
      reasons: [`something is built on it: ${named.join(', ')}`],
      hint: 'Close it first (cryptsetup close, vgchange -an, mdadm --stop).',
    };
  }
  const members = nodes.filter((node) => SPREAD.has(node.fstype) && spread.has(node.uuid));
  if (members.length > 0) {
    return { reasons: members.map((node) => `${node.path} is part of a ${node.fstype} that is mounted`) };
  }
  const pools = nodes.filter((node) => POOL_MEMBERS.has(node.fstype));
  if (pools.length > 0) {
    return { reasons: [`${pools.map((node) => `${node.path} is a ${node.fstype}`).join(', ')}, perhaps in use`] };
  }
  return { reasons: [] };
}

/**
 * Whether `device`, a node of the tree's top level, may be written with an image of `need` bytes. `spread` has the ids of
 * mounted file systems over several disks.
 */
export function judgeDevice(
  device: BlockDevice,
  facts: SysfsFacts,
  need: number,
  spread: ReadonlySet<string> = new Set(),
): Verdict {
  const refuse = (reasons: readonly string[], hint?: string): Verdict => ({
    device,
    offered: false,
    reasons,
    ...(hint === undefined ? {} : { hint }),
  });
  const inUse = usage(device, facts, spread);
  const virtual =
    VIRTUAL[device.type] ??
    (/^(zram|ram|nbd|dm-|md|fd|drbd|rbd|mtd)/.test(device.kname)
      ? 'it is no medium that can be pulled out'
      : undefined);
  if (virtual !== undefined) return refuse([virtual, ...inUse.reasons]);
  if (device.type !== 'disk') return refuse([`it is a ${device.type || 'thing of unknown kind'}, not a disk`]);
  if (/^mmcblk\d+(boot\d|rpmb|gp\d)/.test(device.kname)) return refuse(['it is a hardware area of soldered memory']);
  if (plug(device, facts) === undefined) {
    const soldered = device.kname.startsWith('mmcblk') ? 'it is soldered memory (eMMC)' : 'it is built in';
    return refuse([`${soldered}: only removable media are written`, ...inUse.reasons]);
  }
  if (inUse.reasons.length > 0) return refuse(inUse.reasons, inUse.hint);
  if (device.size === 0) return refuse(['there is no card in this slot']);
  if (device.readOnly) return refuse(['it is write-protected'], 'An SD card has a small slider at its left edge.');
  if (device.size < need) return refuse([`it has ${gigabytes(device.size)}, the image needs ${gigabytes(need)}`]);
  return { device, offered: true, reasons: [] };
}

/** A verdict on each whole disk of the machine. `need` is the smallest size in bytes that will do. */
export function judgeDevices(snapshot: Snapshot, need: number): Verdict[] {
  const tree = blockTree(snapshot.lsblk);
  const spread = spreadIds(tree);
  return tree.map((device) => judgeDevice(device, snapshot.sysfs[device.kname] ?? {}, need, spread));
}

/**
 * The verdict on the disk that `path` (links already followed) names.
 * @throws UserError when it is a partition or a mapping, or no block device that lsblk lists.
 */
export function judgePath(snapshot: Snapshot, path: string, need: number): Verdict {
  const verdicts = judgeDevices(snapshot, need);
  const isIt = (node: BlockDevice): boolean => node.path === path || `/dev/${node.kname}` === path;
  const whole = verdicts.find((verdict) => isIt(verdict.device));
  if (whole !== undefined) return whole;
  const disks = verdicts.filter((verdict) => family(verdict.device).some(isIt)).map((verdict) => verdict.device);
  const node = disks.flatMap(family).find(isIt);
  if (node === undefined) throw new UserError({ message: `${path} is not among the disks that lsblk lists` });
  const kind = node.type === 'part' ? 'a partition' : `a ${node.type} device`;
  throw new UserError({
    message: `${path} is ${kind} on ${disks.map((disk) => disk.path).join(' and ')}, not a whole disk`,
    hint: 'An image has a partition table of its own, so it goes onto the whole card: give the disk, if it is the right one.',
  });
}

/** One line for people: path, size, maker, model, serial, and what is on it. */
export function deviceLine({ device, offered, reasons }: Verdict): string {
  const maker = [device.vendor, device.model].filter(Boolean).join(' ') || 'unknown maker';
  const labels = device.children.map((child) => child.label).filter(Boolean);
  const content = labels.length === 0 ? '' : `, holds ${labels.join(', ')}`;
  const line = `${device.path}  ${gigabytes(device.size)}  ${maker}  serial ${device.serial || 'unknown'}${content}`;
  return offered ? line : `${line}: ${reasons.join('; ')}`;
}
