import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import type { Layer } from '../host/layer.ts';
import { stackOf } from '../host/layer.ts';
import { type BuildContext, inToolbox } from './context.ts';

/**
 * Compresses the image, maps its blocks and lists its packages, all in the image's own folder, in the toolbox.
 * `release` adds the slower .img.xz. Names in the results are those that the files will have: NAME.img and so on.
 */
export async function makeCompanions(
  context: BuildContext,
  layers: readonly Layer[],
  folder: string,
  release: boolean,
): Promise<string[]> {
  const { plan } = context;
  const name = plan.name;
  const script = `
cd /tmp/out
mv image.img "$1.img"
bmaptool create -o "$1.bmap" "$1.img" 2>/dev/null
zstd --quiet --threads=0 -6 --force "$1.img" -o "$1.img.zst"
${release ? 'xz --threads=0 --keep --force "$1.img"' : ''}
dpkg-query --admindir=/tmp/image/var/lib/dpkg --show --showformat '\${binary:Package}\\t\${Version}\\t\${Architecture}\\t\${source:Package}\\t\${source:Version}\\n' > "$1.packages.tsv"
`;
  const mounts = [{ kind: 'bind', source: join(folder, 'fs'), target: '/tmp/out', write: true }] as const;
  await inToolbox(context, script, stackOf(layers), { mounts, args: [name] });
  return [
    `${name}.img`,
    `${name}.img.zst`,
    ...(release ? [`${name}.img.xz`] : []),
    `${name}.bmap`,
    `${name}.packages.tsv`,
  ];
}

/** SHA-256 of a file, in hex. */
export async function sha256File(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 4 * 1024 * 1024 })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
