import { open, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import type { Layer } from '../../host/layer.ts';
import { stackOf } from '../../host/layer.ts';
import { type BuildContext, inToolbox } from '../context.ts';
import { diskId, uuidFrom } from './disk-id.ts';

const SECTOR = 512;
const MIB = 1024 * 1024;
/** As on the official images: the boot partition starts at 8 MiB and has 512 MiB; the root follows. */
export const BOOT_START = 16384;
export const BOOT_SECTORS = 1048576;
export const ROOT_START = BOOT_START + BOOT_SECTORS;
const ALIGN = 8 * MIB;
/** Room for updates until the root grows on first boot. */
const SPARE = 200 * MIB;

/** One partition entry of an MBR: 16 bytes. Cylinders are those of a disk too large for them. */
function entry(type: number, start: number, sectors: number): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.set([0x00, 0xfe, 0xff, 0xff, type, 0xfe, 0xff, 0xff]);
  bytes.writeUInt32LE(start, 8);
  bytes.writeUInt32LE(sectors, 12);
  return bytes;
}

/** The first sector: signature `id` (eight hex digits), slot 1 FAT32, slot 2 Linux, slots 3 and 4 free. */
export function masterBootRecord(id: string, rootSectors: number): Buffer {
  const sector = Buffer.alloc(SECTOR);
  sector.writeUInt32LE(Number.parseInt(id, 16), 440);
  entry(0x0c, BOOT_START, BOOT_SECTORS).copy(sector, 446);
  entry(0x83, ROOT_START, rootSectors).copy(sector, 462);
  sector.writeUInt16LE(0xaa55, 510);
  return sector;
}

/** Bytes for the root partition, given those of its files: a tenth and the spare room more, whole 8 MiB. */
export const rootSize = (used: number): number => Math.ceil((used * 1.1 + SPARE) / ALIGN) * ALIGN;

// --invariant would set the id too, so it comes first. FAT takes files in the order of their names and no time later than
// the build's. Folders that kernels are written into are as long already as they will be: a folder that grows at a power cut
// may end in whatever the card held there before, and the check of the next start would make that fit at the others' cost.
// Meanwhile the root's files are counted: blocks of 4 KiB, as ext4 will use; folders and links are one each.
const ROOM = 24;
const BOOT = `
image=/tmp/out/image.img; id=$1
find /tmp/image -xdev -path /tmp/image/boot/firmware -prune -o -printf '%s\\n' | awk '{ blocks += int(($1 + 4095) / 4096) + ($1 == 0) } END { print blocks * 4096 }' > /tmp/used &
export MTOOLS_SKIP_CHECK=1 TZ=UTC
truncate -s ${ROOT_START * SECTOR} "$image"
mkfs.vfat -F 32 -s 1 -n bootfs --invariant -i "$id" --offset ${BOOT_START} "$image" ${BOOT_SECTORS / 2} >/dev/null
cd /tmp/image/boot/firmware
find . -mindepth 1 -type d | LC_ALL=C sort | sed 's|^./|::|' | while read -r folder; do mmd -i "$image@@${BOOT_START * SECTOR}" "$folder"; done
find . -mindepth 1 -type d | LC_ALL=C sort | { echo .; cat; } | while read -r folder; do
  find "$folder" -maxdepth 1 -type f | LC_ALL=C sort | tr '\\n' '\\0' | xargs -0r sh -c 'target=$1; shift; mcopy -m -i "$0" "$@" "$target"' "$image@@${BOOT_START * SECTOR}" "::$(echo "$folder" | sed 's|^.||')/"
done
mkdir -p /tmp/room
for number in $(seq -w 1 ${ROOM}); do : > "/tmp/room/room-for-files-with-long-names-as-kernels-have-$number"; done
touch -d "@$SOURCE_DATE_EPOCH" /tmp/room/*
find . -mindepth 1 -type d -name 'set-*' | LC_ALL=C sort | sed 's|^./||' | while read -r folder; do
  mcopy -m -i "$image@@${BOOT_START * SECTOR}" /tmp/room/* "::$folder/"
  mdel -i "$image@@${BOOT_START * SECTOR}" "::$folder/room-for-*"
done
wait
cat /tmp/used
`;

const ROOT = `
image=/tmp/out/image.img; uuid=$1; seed=$2
mount -t tmpfs -o mode=755 tmpfs /tmp/image/boot/firmware
touch -d "@$SOURCE_DATE_EPOCH" /tmp/image/boot/firmware
# e2fsck 1.47 rebuilds a lost orphan file into blocks that do not exist, and the kernel then refuses the file system.
mke2fs -q -t ext4 -O ^orphan_file -L rootfs -U "$uuid" -E "hash_seed=$seed,offset=${ROOT_START * SECTOR},root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0" -m 1 -d /tmp/image "$image" "$3"
`;

/**
 * Writes boot and root file systems of the stacked layers into one sparse file, `<folder>/fs/image.img`, where `folder`
 * is a new folder of the cache. No mount, no loop device; equal layers and digest give equal bytes.
 */
export async function writeImage(context: BuildContext, layers: readonly Layer[], folder: string): Promise<string> {
  const { plan } = context;
  const stack = stackOf(layers);
  const image = join(folder, 'fs', 'image.img');
  const id = diskId(plan);
  const mounts = [{ kind: 'bind', source: join(folder, 'fs'), target: '/tmp/out', write: true }] as const;
  const used = Number((await inToolbox(context, BOOT, stack, { mounts, args: [id] })).trim());
  const size = rootSize(used);
  await truncate(image, ROOT_START * SECTOR + size);
  const args = [uuidFrom(plan.digest, 'rootfs'), uuidFrom(plan.digest, 'hash seed'), `${size / 1024}k`];
  await inToolbox(context, ROOT, stack, { mounts, args });
  const file = await open(image, 'r+');
  try {
    await file.write(masterBootRecord(id, size / SECTOR), 0, SECTOR, 0);
    await file.sync();
  } finally {
    await file.close();
  }
  return image;
}
