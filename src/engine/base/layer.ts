import { join } from 'node:path';
import { toolboxTools } from '../../audit/tools.ts';
import { UserError } from '../../core/errors.ts';
import type { BaseSpec } from '../../core/plan.ts';
import type { Cache } from '../../host/cache.ts';
import { newFolder, removeTree } from '../../host/folders.ts';
import { type Inputs, keyOf } from '../../host/inputs.ts';
import { type Layer, type LayerPlace, layerFolder, openLayer } from '../../host/layer.ts';
import type { Mount } from '../../host/namespace.ts';
import type { Toolbox } from '../../toolbox/toolbox.ts';
import type { LockedBase } from '../lock.ts';
import { openImageFile } from './image-file.ts';
import { isCompressed, type Parts, partsOf, refuseOtherSystems } from './parts.ts';

export interface BasePlace extends LayerPlace {
  readonly toolbox: Toolbox;
}

/** Raised when the same image has to be unpacked in another way. */
const UNPACK_VERSION = '1';

/** What the layer is made of: the image's own bytes and nothing else. */
export const baseInputs = ({ sha256 }: Pick<LockedBase, 'sha256'>): Inputs => ({
  'SHA-256 of the base image': sha256,
  'way of unpacking': UNPACK_VERSION,
});

/** Where the tree of a base image is, or would be, in the cache. */
export const baseFolder = (cache: Cache, base: Pick<LockedBase, 'sha256'>): string =>
  join(layerFolder(cache.layers, 'base', keyOf(baseInputs(base))), 'fs');

/**
 * The tree of a base image: its root file system with everything that ext4 keeps of it, and its boot partition at
 * /boot/firmware. Unpacked once for each image file.
 */
export function openBase(place: BasePlace, spec: BaseSpec, base: Pick<LockedBase, 'sha256'>): Promise<Layer> {
  return openLayer(place, {
    name: 'base',
    inputs: baseInputs(base),
    make: (upper) => unpackBase(place, spec, base.sha256, upper),
  });
}

/** Fills `upper`. The toolbox must be there. */
export async function unpackBase(place: BasePlace, spec: BaseSpec, sha256: string, upper: string): Promise<void> {
  if (spec.kind !== 'raspios') throw new TypeError('a base image without the base raspios');
  const { cache, namespace, log, signal } = place;
  const file = await openImageFile(cache, spec, log, signal);
  if (file.sha256 !== sha256) throw otherImage(spec.image);
  const scratch = await newFolder(cache, 'base-image');
  try {
    const image = (await isCompressed(file.path, spec.image))
      ? await decompress(place, file.path, spec.image, join(scratch, 'fs'))
      : file.path;
    const parts = await partsOf(image, spec.image);
    await refuseOtherSystems(place, image, parts, spec.image);
    await unpackParts(place, image, parts, upper);
  } finally {
    await removeTree(cache, namespace, scratch);
  }
}

const otherImage = (image: string): UserError =>
  new UserError({
    message: `${image} is another file than the one that the lock was made for`,
    hint: 'Refresh the lock with the verb `lock`.',
  });

/** @throws UserError when the file is no whole xz or zstd file */
async function decompress(
  { toolbox, signal }: BasePlace,
  file: string,
  shown: string,
  folder: string,
): Promise<string> {
  const script = `case $(head -c 4 /tmp/base | od -An -tx1 | tr -d ' ') in
28b52ffd) zstd --quiet --decompress --sparse /tmp/base -o /tmp/out/base.img ;;
*) xz --decompress --threads=0 --stdout /tmp/base > /tmp/out/base.img ;;
esac
chmod 644 /tmp/out/base.img`;
  try {
    await toolbox.run(['sh', '-euc', script], {
      mounts: [
        { kind: 'bind', source: file, target: '/tmp/base' },
        { kind: 'bind', source: folder, target: '/tmp/out', write: true },
      ],
      unsynced: true,
      ...(signal === undefined ? {} : { signal }),
    });
  } catch (cause) {
    if (signal?.aborted === true) throw cause;
    const reason = cause instanceof UserError ? (cause.problems[0]?.hint ?? cause.message) : String(cause);
    throw new UserError(
      { message: `${shown} cannot be unpacked: ${reason}`, hint: 'Fetch it again, and give its sha256.' },
      { cause },
    );
  }
  return join(folder, 'base.img');
}

// GNU tar sets owners, modes, times, links, sparse files, ACLs and all attributes, capabilities among them. Without
// mtools' own check a card of any geometry is taken; -m keeps times, which FAT has no zone for.
const UNPACK = `
set -o pipefail 2>/dev/null || true
mkfifo /tmp/pipe
/tmp/ext4-tar /tmp/base "$1" "$2" -u > /tmp/pipe & reader=$!
tar --extract --file=/tmp/pipe --directory=/tmp/image --numeric-owner --same-owner --preserve-permissions --acls --xattrs --xattrs-include='*' || { wait $reader; exit 1; }
wait $reader
mkdir -p /tmp/image/boot/firmware
find /tmp/image/boot/firmware -mindepth 1 -delete
export MTOOLS_SKIP_CHECK=1 TZ=UTC
mcopy -s -m -n -Q -i "/tmp/base@@$3" '::*' /tmp/image/boot/firmware/
chown -R 0:0 /tmp/image/boot/firmware
chmod -R u=rwX,go=rX /tmp/image/boot/firmware
`;

async function unpackParts(place: BasePlace, image: string, { boot, root }: Parts, upper: string): Promise<void> {
  const { toolbox, log, signal } = place;
  const tools = await toolboxTools(toolbox);
  const [program = ''] = tools.ext4Tar;
  const mounts: Mount[] = [
    { kind: 'bind', source: image, target: '/tmp/base' },
    { kind: 'bind', source: program, target: '/tmp/ext4-tar' },
    { kind: 'stack', lower: [], upper, target: '/tmp/image' },
  ];
  const numbers = [root.offset, root.size, boot.offset].map(String);
  await toolbox.run(['sh', '-euc', UNPACK, 'sh', ...numbers], {
    mounts,
    unsynced: true,
    onOutput: (text) => log({ kind: 'output', text }),
    ...(signal === undefined ? {} : { signal }),
  });
}
