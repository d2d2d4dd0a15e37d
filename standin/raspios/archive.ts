import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { BuildContext } from '../../src/engine/context.ts';
import { packageFile } from '../../src/engine/download.ts';
import type { Layer } from '../../src/host/layer.ts';
import { hostRunner } from '../../src/host/runner.ts';

interface ArchiveInput {
  readonly tree: Layer;
  /** Where the archive appears. */
  readonly archive: string;
  /** A folder for what is only needed meanwhile. */
  readonly work: string;
  readonly noVirtio: boolean;
  /** With a package for another CPU. */
  readonly other: boolean;
}

const DAY = 86_400_000;

/**
 * Makes the packages that stand for Raspberry Pi's, and a signed archive of them in which one is newer than in the
 * image. Gives the folder of the package files that the image has.
 */
export async function makeArchive(context: BuildContext, input: ArchiveInput): Promise<string> {
  const { archive, work, noVirtio, other } = input;
  await rm(archive, { recursive: true, force: true });
  const [source, debs, pool] = [join(work, 'source'), join(work, 'debs'), join(archive, 'pool')];
  for (const folder of [debs, pool]) await mkdir(folder, { recursive: true });
  await cp(join(import.meta.dirname, 'packages'), source, { recursive: true });
  if (!other) await rm(join(source, 'rpi-legacy'), { recursive: true });
  const key = join(work, 'key');
  await mkdir(key, { mode: 0o700 });
  const gpg = ['gpg', '--homedir', key, '--batch', '--quiet', '--no-tty', '--pinentry-mode', 'loopback'];
  const name = 'Stand-in for the archive of Raspberry Pi';
  await hostRunner.run([...gpg, '--passphrase', '', '--quick-generate-key', name, 'rsa3072', 'sign', '90d']);
  const keyring = join(source, 'raspberrypi-archive-keyring/usr/share/keyrings');
  await mkdir(keyring, { recursive: true });
  await hostRunner.run([...gpg, '--output', join(keyring, 'raspberrypi-archive-keyring.pgp'), '--export', name]);
  await buildPackages(context, { source, debs, noVirtio });
  for (const file of await readdir(debs)) await cp(join(debs, file), join(pool, file));
  const index = await Promise.all((await readdir(pool)).sort().map((file) => paragraph(join(pool, file), file)));
  const release: string[] = [];
  for (const [arch, text] of [
    ['arm64', index.join('\n')],
    ['armhf', ''],
  ] as const) {
    const folder = join(archive, 'dists/trixie/main', `binary-${arch}`);
    await mkdir(folder, { recursive: true });
    for (const [file, bytes] of [
      ['Packages', Buffer.from(text)],
      ['Packages.gz', gzipSync(text)],
    ] as const) {
      await writeFile(join(folder, file), bytes);
      const sum = createHash('sha256').update(bytes).digest('hex');
      release.push(` ${sum} ${bytes.length} main/binary-${arch}/${file}`);
    }
  }
  const head = [
    'Origin: Raspberry Pi Foundation',
    'Label: Raspberry Pi Foundation',
    'Suite: stable',
    'Codename: trixie',
    `Date: ${new Date(Date.now() - DAY).toUTCString()}`,
    'Architectures: arm64 armhf',
    'Components: main',
    'Description: Stand-in for the archive of Raspberry Pi',
    'SHA256:',
  ];
  const { stdout } = await hostRunner.run([...gpg, '--clearsign', '--output', '-'], {
    input: `${[...head, ...release].join('\n')}\n`,
  });
  await writeFile(join(archive, 'dists/trixie/InRelease'), `${stdout}\n`);
  await hostRunner.run(['gpgconf', '--homedir', key, '--kill', 'gpg-agent'], { okCodes: [0, 1, 2] });
  // The image has an older one than the archive.
  for (const file of await readdir(debs)) if (/^rpi-eeprom_2/.test(file)) await rm(join(debs, file));
  return debs;
}

async function paragraph(path: string, file: string): Promise<string> {
  const bytes = await readFile(path);
  const { stdout } = await hostRunner.run(['dpkg-deb', '--field', path]);
  const sum = createHash('sha256').update(bytes).digest('hex');
  return `${stdout.trimEnd()}\nFilename: pool/${file}\nSize: ${bytes.length}\nSHA256: ${sum}\n`;
}

interface Build {
  readonly source: string;
  readonly debs: string;
  readonly noVirtio: boolean;
}

/** In the toolbox, since owners in packages are root's. */
async function buildPackages(context: BuildContext, { source, debs, noVirtio }: Build): Promise<void> {
  const kernel = context.lock.image.packages.find(({ name }) => /^linux-image-[0-9].*-arm64$/.test(name));
  const firmware = context.lock.image.packages.find(({ name }) => name === 'raspi-firmware');
  if (kernel === undefined || firmware === undefined) throw new Error('the lock of the stand-in has no kernel');
  const script = await readFile(join(import.meta.dirname, 'packages.sh'), 'utf8');
  await context.toolbox.run(['sh', '-eu', '-c', script, 'sh', kernel.name, noVirtio ? 'no-virtio' : 'virtio'], {
    mounts: [
      { kind: 'bind', source, target: '/tmp/source' },
      { kind: 'bind', source: join(import.meta.dirname, 'firmware'), target: '/tmp/firmware' },
      { kind: 'bind', source: packageFile(context.cache, kernel), target: '/tmp/kernel.deb' },
      { kind: 'bind', source: packageFile(context.cache, firmware), target: '/tmp/firmware.deb' },
    ],
    stdoutTo: createWriteStream(join(debs, '..', 'debs.tar')),
  });
  await hostRunner.run(['tar', '-xf', join(debs, '..', 'debs.tar'), '-C', debs]);
}
