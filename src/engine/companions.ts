import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Layer } from '../host/layer.ts';
import { stackOf } from '../host/layer.ts';
import type { Mount } from '../host/namespace.ts';
import { type BlockRange, formatBmap } from './bmap.ts';
import { type BuildContext, inToolbox } from './context.ts';

/** Measured on 400 MB of a root file system: level 6 takes three times as long for 3 % less, level 9 five times for 6 %. */
const ZSTD_LEVEL = '-3';

const outIn = (folder: string): Mount => ({
  kind: 'bind',
  source: join(folder, 'fs'),
  target: '/tmp/out',
  write: true,
});

interface Sums {
  readonly size: number;
  readonly sha256: string;
  readonly ranges: readonly BlockRange[];
}

/** Names the image, and takes its SHA-256 and block map in one pass over its data. Gives the SHA-256 in hex. */
export async function sumImage(context: BuildContext, folder: string): Promise<string> {
  const image = `${context.plan.name}.img`;
  await rename(join(folder, 'fs', 'image.img'), join(folder, 'fs', image));
  await context.prepare();
  const { stdout } = await context.toolbox.run(['python3', '-I', '/native/image-sums.py', `/tmp/out/${image}`], {
    mounts: [outIn(folder), { kind: 'bind', source: join(context.project, 'native'), target: '/native' }],
    ...(context.signal === undefined ? {} : { signal: context.signal }),
  });
  const { size, sha256, ranges } = JSON.parse(stdout) as Sums;
  await writeFile(join(folder, 'fs', `${context.plan.name}.bmap`), formatBmap(size, ranges));
  return sha256;
}

export interface Compression {
  /** Make the .img.zst. */
  readonly compress: boolean;
  /** Make the .img.xz too. */
  readonly release: boolean;
}

/**
 * Compresses the image with all cores and lists its packages, in the image's own folder, in the toolbox. Gives the names of what there is now, as the files will be called.
 */
export async function makeCompanions(
  context: BuildContext,
  layers: readonly Layer[],
  folder: string,
  { release, compress }: Compression,
): Promise<string[]> {
  const { name } = context.plan;
  const script = `
cd /tmp/out
${compress ? `zstd --quiet --threads=0 ${ZSTD_LEVEL} --force "$1.img" -o "$1.img.zst"` : ''}
${release ? 'xz --threads=0 --keep --force "$1.img"' : ''}
dpkg-query --admindir=/tmp/image/var/lib/dpkg --show --showformat '\${binary:Package}\\t\${Version}\\t\${Architecture}\\t\${source:Package}\\t\${source:Version}\\n' > "$1.packages.tsv"
`;
  await inToolbox(context, script, stackOf(layers), { mounts: [outIn(folder)], args: [name] });
  return [
    `${name}.img`,
    ...(compress ? [`${name}.img.zst`] : []),
    ...(release ? [`${name}.img.xz`] : []),
    `${name}.bmap`,
    `${name}.packages.tsv`,
  ];
}
