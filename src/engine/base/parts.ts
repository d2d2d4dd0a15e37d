import { open } from 'node:fs/promises';
import { isFat, type Partition, parseMbr, SECTOR, TYPE } from '../../audit/mbr.ts';
import { UserError } from '../../core/errors.ts';
import type { BasePlace } from './layer.ts';

/** Bytes from the start of the image. */
interface Part {
  readonly offset: number;
  readonly size: number;
}

export interface Parts {
  readonly boot: Part;
  readonly root: Part;
}

const wrong = (image: string, reason: string): UserError =>
  new UserError({
    message: `${image} cannot be a base: ${reason}`,
    hint: 'Give an image of Raspberry Pi OS Lite, trixie, 64 bits.',
  });

async function readStart(path: string, shown: string): Promise<{ bytes: Uint8Array; size: number }> {
  const file = await open(path, 'r').catch((cause: NodeJS.ErrnoException) => {
    throw wrong(shown, cause.code === 'ENOENT' ? 'there is no such file' : `it cannot be opened (${cause.code})`);
  });
  try {
    const bytes = new Uint8Array(SECTOR);
    const { bytesRead } = await file.read(bytes, 0, SECTOR, 0);
    return { bytes: bytes.subarray(0, bytesRead), size: (await file.stat()).size };
  } finally {
    await file.close();
  }
}

/** Whether the file is an xz or zstd file, by its first bytes. */
export async function isCompressed(path: string, shown: string): Promise<boolean> {
  const { bytes } = await readStart(path, shown);
  const magic = Buffer.from(bytes.subarray(0, 6)).toString('hex');
  return magic === 'fd377a585a00' || magic.startsWith('28b52ffd');
}

/** The first FAT partition and the first Linux one. @throws UserError for what has no such partition table */
export async function partsOf(path: string, shown: string): Promise<Parts> {
  const { bytes, size } = await readStart(path, shown);
  const result = parseMbr(bytes, size);
  if (!result.ok) throw wrong(shown, result.error);
  const { partitions } = result.disk;
  const boot = partitions.find(isFat);
  const root = partitions.find(({ type }) => type === TYPE.linux);
  if (boot === undefined) throw wrong(shown, 'there is no FAT partition to boot from');
  if (root === undefined) throw wrong(shown, 'there is no Linux partition');
  const part = ({ start, sectors }: Partition): Part => ({ offset: start * SECTOR, size: sectors * SECTOR });
  return { boot: part(boot), root: part(root) };
}

const LOOK = `
look() { debugfs -R "cat $1" "/tmp/base?offset=$2" 2>/dev/null || true; }
for file in /usr/lib/os-release /var/lib/dpkg/arch /etc/rpi-issue; do echo "== $file"; look "$file" "$1"; echo; done
echo '== dpkg'
look /var/lib/dpkg/status "$1" | awk -v RS= '/^Package: dpkg\\n/' | grep '^Architecture:' || true
`;

/** Before anything is unpacked. @throws UserError naming the system that the image holds, when it is not trixie for arm64 */
export async function refuseOtherSystems(
  { toolbox, signal }: BasePlace,
  image: string,
  { root }: Parts,
  shown: string,
): Promise<void> {
  const { stdout } = await toolbox.run(['sh', '-euc', LOOK, 'sh', String(root.offset)], {
    mounts: [{ kind: 'bind', source: image, target: '/tmp/base' }],
    ...(signal === undefined ? {} : { signal }),
  });
  const field = (name: string): string => new RegExp(`^${name}="?([^"\\n]*)`, 'm').exec(stdout)?.[1] ?? '';
  const [codename, name] = [field('VERSION_CODENAME'), field('PRETTY_NAME')];
  if (codename === '' && name === '')
    throw wrong(shown, 'its root file system cannot be read, or holds no /usr/lib/os-release');
  if (codename !== 'trixie') throw wrong(shown, `it holds ${name || codename}, and only trixie can be built on`);
  const architecture = /^Architecture: (\S+)/m.exec(stdout)?.[1] ?? '';
  if (architecture !== 'arm64') {
    throw wrong(shown, `it holds ${name} for ${architecture || 'an unknown CPU'}, and only arm64 can be built on`);
  }
}
