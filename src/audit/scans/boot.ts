import { type Disk, partUuid, SECTOR, TYPE } from '../mbr.ts';
import { count, readParameters, type Scan } from './scan.ts';

const CMDLINE = '/boot/firmware/cmdline.txt';
const ROOT_SLOT = 2;

/** The kernel gets its arguments, no shell instead of init, and the root that this card has. */
export const cmdline: Scan = (tree, parameters) => {
  const given = readParameters(parameters, ['arguments', 'lacks']);
  const text = tree.text(CMDLINE);
  if (text === undefined) return { looked: `no ${CMDLINE}`, problems: [`${CMDLINE} is not there`] };
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  const words = text.split(/\s+/).filter((word) => word !== '');
  const problems: string[] = [];
  if (lines.length !== 1) problems.push(`${CMDLINE} has ${count(lines.length, 'line')}, the firmware reads one`);
  for (const word of given.strings('arguments')) {
    if (!words.includes(word)) problems.push(`${CMDLINE} lacks ${word}`);
  }
  const forbidden = new Set(['resize', 'single', 'emergency', 'rescue', ...given.strings('lacks')]);
  for (const word of words) {
    const isShell = /^(?:rd)?init=/.test(word) || /^systemd\.(?:debug[-_]shell|run)/.test(word);
    if (forbidden.has(word) || isShell) problems.push(`${CMDLINE} has ${word}`);
  }
  const root = words.filter((word) => word.startsWith('root='));
  if (root.length !== 1) problems.push(`${CMDLINE} has ${count(root.length, 'root= argument')}`);
  const want = tree.disk === undefined ? undefined : `root=PARTUUID=${partUuid(tree.disk, ROOT_SLOT)}`;
  if (want !== undefined && root.length === 1 && root[0]?.toLowerCase() !== want.toLowerCase()) {
    problems.push(`${CMDLINE} has ${root[0]}, the root partition is ${want}`);
  }
  return { looked: `${CMDLINE}: ${text.trim()}`, problems };
};

/** What fstab mounts by PARTUUID is on this card. */
export const fstab: Scan = (tree, parameters) => {
  readParameters(parameters, []);
  const text = tree.text('/etc/fstab');
  if (text === undefined) return { looked: 'no /etc/fstab', problems: ['/etc/fstab is not there'] };
  const lines = text.split('\n').filter((line) => line.trim() !== '' && !line.trim().startsWith('#'));
  const problems: string[] = [];
  const { disk } = tree;
  for (const line of lines) {
    const fields = line.trim().split(/\s+/);
    if (fields.length < 4) problems.push(`/etc/fstab: "${line}" has ${count(fields.length, 'field')}, not 4 to 6`);
    const id = /^PARTUUID=(.*)$/.exec(fields[0] ?? '')?.[1]?.toLowerCase();
    if (id === undefined || disk === undefined) continue;
    const known = disk.partitions.map((partition) => partUuid(disk, partition.slot));
    if (!known.includes(id)) problems.push(`/etc/fstab: ${fields[1]} is on ${id}, the image has ${known.join(', ')}`);
  }
  if (!lines.some((line) => line.trim().split(/\s+/)[1] === '/')) problems.push('/etc/fstab has no line for /');
  return { looked: `${count(lines.length, 'line')} of /etc/fstab`, problems };
};

const ALIGNMENT = (4 * 1024 * 1024) / SECTOR;
/** Cards sold as 4 GB have 3.88 to 4 thousand million bytes. */
const SMALL_CARD = 3_880_000_000;

function describe(disk: Disk): string {
  const slots = disk.partitions.map(
    ({ slot, type, start, sectors }) =>
      `${slot}: type ${type.toString(16).padStart(2, '0')} at ${start}, ${sectors} sectors`,
  );
  return `signature ${disk.signature.toString(16).padStart(8, '0')}, ${slots.join('; ')}, ${disk.size} bytes`;
}

/** The partitions are where first boot, updates and small cards want them. */
export const partitions: Scan = (tree, parameters) => {
  const maxBytes = readParameters(parameters, ['maxBytes']).number('maxBytes', SMALL_CARD);
  const { disk } = tree;
  if (disk === undefined) return { looked: 'no partition table', problems: ['this is no image with partitions'] };
  const problems: string[] = [];
  const wanted = new Map<number, number>([
    [1, TYPE.fat32],
    [ROOT_SLOT, TYPE.linux],
  ]);
  for (const [slot, type] of wanted) {
    const found = disk.partitions.find((partition) => partition.slot === slot);
    const hex = type.toString(16).padStart(2, '0');
    if (found === undefined) problems.push(`partition ${slot} is missing`);
    else if (found.type !== type) problems.push(`partition ${slot} has type ${found.type.toString(16)}, not ${hex}`);
  }
  for (const { slot, start } of disk.partitions) {
    if (!wanted.has(slot)) problems.push(`partition ${slot} is in use; it has to stay free`);
    if (start % ALIGNMENT !== 0)
      problems.push(`partition ${slot} starts at sector ${start}, not at a multiple of 4 MiB`);
  }
  const [boot, root] = [1, ROOT_SLOT].map((slot) => disk.partitions.find((partition) => partition.slot === slot));
  if (boot && root && root.start < boot.start) problems.push('partition 2 lies before partition 1, so it cannot grow');
  if (disk.signature === 0) problems.push('the disk signature is zero, so PARTUUIDs name nothing');
  if (disk.size > maxBytes) problems.push(`the image has ${disk.size} bytes, a small card ${maxBytes}`);
  return { looked: describe(disk), problems };
};
