import { chown, cp, mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { loadConfig } from '../../src/config/load.ts';
import type { Log } from '../../src/core/log.ts';
import { findMirrors } from '../../src/engine/archive.ts';
import { type BuildContext, inImage, inToolbox } from '../../src/engine/context.ts';
import { formatLock, type Lock, parseLock } from '../../src/engine/lock.ts';
import { openContext } from '../../src/engine/open-context.ts';
import { makeLock } from '../../src/engine/resolve.ts';
import { bootstrap } from '../../src/engine/steps/packages.ts';
import { openCache } from '../../src/host/cache.ts';
import { newFolder, removeTree } from '../../src/host/folders.ts';
import { type Layer, openLayer } from '../../src/host/layer.ts';
import { type Mount, openNamespace } from '../../src/host/namespace.ts';
import { sha256 } from '../../src/plan/digest.ts';
import { makePlan } from '../../src/plan/plan.ts';
import { stages } from '../../stages/index.ts';
import { makeArchive } from './archive.ts';
import { debianPackages } from './contents.ts';

export interface StandIn {
  /** The image. */
  readonly image: string;
  /** Folder of the archive that stands for Raspberry Pi's, which the image names by a file: URL. */
  readonly archive: string;
}

export interface StandInOptions {
  /** The kernel packages lack virtio, as those of Raspberry Pi OS do in their initramfs. */
  readonly noVirtio?: boolean;
  /** Made of the same facts with other choices: layout, accounts, places of units, form of sources, more that is dangerous. */
  readonly other?: boolean;
}

const project = join(import.meta.dirname, '../..');

/**
 * Makes an image in the shape of Raspberry Pi OS Lite from Debian's arm64 packages and a few of ours in the place of
 * Raspberry Pi's. `out` is a folder that stays where it is, since the image names the archive in it.
 */
export async function makeStandIn(out: string, options: StandInOptions, log: Log): Promise<StandIn> {
  const cache = await openCache();
  const namespace = await openNamespace(cache);
  await mkdir(out, { recursive: true });
  const plan = { ...makePlan(loadConfig(join(project, 'config/amslpr.yaml'), stages), stages, project), purge: [] };
  const lock = await standInLock(join(out, 'stand-in.lock.yaml'), log);
  const context = await openContext(plan, lock, { project, held: new Map() }, log);
  const tree = await openLayer(
    { ...context, image: 'stand-in' },
    {
      name: 'stand-in',
      inputs: { packages: sha256(JSON.stringify(lock.image)), arm64: context.arm64.id },
      make: (upper) => bootstrap(context, lock.image.packages, lock.image.requested, upper),
    },
  );
  const archive = join(out, 'archive');
  const other = options.other === true;
  const folder = await newFolder(cache, 'stand-in-image');
  try {
    const work = await mkdtemp(join(tmpdir(), 'amslpr-standin-'));
    try {
      const debs = await makeArchive(context, { tree, archive, work, noVirtio: options.noVirtio === true, other });
      await shape(context, tree, folder, { debs, work, archive, other });
    } finally {
      await rm(work, { recursive: true, force: true });
    }
    const image = join(out, 'raspios.img');
    await writeStandIn(context, tree, folder, out, other);
    return { image, archive };
  } finally {
    await removeTree(cache, namespace, folder);
  }
}

/** Debian's packages as they are today; the toolbox is the one of the default configuration. */
async function standInLock(file: string, log: Log): Promise<Lock> {
  const known = await readFile(file, 'utf8').catch(() => undefined);
  const wanted = [...debianPackages].sort();
  if (known !== undefined) {
    const lock = parseLock(known, file);
    if (JSON.stringify(lock.image.requested) === JSON.stringify(wanted)) return lock;
  }
  const cache = await openCache();
  const mine = join(project, 'config/amslpr.lock.yaml');
  const { toolboxes } = parseLock(await readFile(mine, 'utf8'), mine);
  const names = { build: toolboxes.amd64.build.requested, boot: toolboxes.amd64.boot.requested };
  const made = await makeLock(await openNamespace(cache), { packages: wanted, toolboxes: names }, log);
  const lock = { ...made, toolboxes };
  await writeFile(`${file}.new`, formatLock(lock));
  await rename(`${file}.new`, file);
  return lock;
}

interface Shape {
  readonly debs: string;
  readonly work: string;
  readonly archive: string;
  readonly other: boolean;
}

const script = (name: string): Promise<string> => readFile(join(import.meta.dirname, name), 'utf8');

/** Turns a Debian tree into what pi-gen leaves: its packages, its settings, and what waits for the first boot. */
async function shape(context: BuildContext, tree: Layer, folder: string, { debs, work, archive, other }: Shape) {
  const stack = { lower: [tree.fs], upper: folder };
  const mirrors = await findMirrors();
  const files = join(work, 'files');
  await cp(join(import.meta.dirname, 'files'), files, { recursive: true });
  const fill = async (path: string): Promise<void> => {
    const text = await readFile(join(files, path), 'utf8');
    const filled = text
      .replaceAll('@DEBIAN@', mirrors.debian)
      .replaceAll('@SECURITY@', mirrors.security)
      .replaceAll('@RASPI@', pathToFileURL(archive).href);
    await writeFile(join(files, path), filled);
  };
  for (const path of ['root/etc/apt/sources.list.d/debian.sources', 'root/etc/apt/sources.list.d/raspi.sources'])
    await fill(path);
  const mounts: Mount[] = [
    { kind: 'bind', source: files, target: '/tmp/files' },
    { kind: 'bind', source: debs, target: '/tmp/debs' },
    { kind: 'bind', source: import.meta.dirname, target: '/tmp/scripts' },
  ];
  await inToolbox(context, 'mkdir -p /tmp/image/var/standin; cp /tmp/debs/*.deb /tmp/image/var/standin/', stack, {
    mounts,
  });
  await inImage(context, ['sh', '-euxc', await script('install.sh')], stack);
  await inToolbox(context, 'sh -eux /tmp/scripts/shape.sh', stack, { mounts });
  await inImage(context, ['sh', '-euxc', await script('accounts.sh')], stack);
  if (other) await inImage(context, ['sh', '-euxc', await script('other.sh')], stack);
  await inImage(context, ['update-initramfs', '-c', '-k', 'all'], stack);
  if (other) await inImage(context, ['sh', '-euxc', await script('other-last.sh')], stack);
  await inToolbox(context, 'sh -eux /tmp/scripts/finish.sh', stack, { mounts });
}

/** The image file, with the sizes and features that pi-gen's tools give it. */
async function writeStandIn(
  context: BuildContext,
  tree: Layer,
  folder: string,
  out: string,
  other: boolean,
): Promise<void> {
  const stack = { lower: [tree.fs], upper: folder };
  const result = await newFolder(context.cache, 'stand-in-file');
  try {
    const mounts: Mount[] = [
      { kind: 'bind', source: import.meta.dirname, target: '/tmp/scripts' },
      { kind: 'bind', source: join(result, 'fs'), target: '/tmp/out', write: true },
    ];
    await inToolbox(context, 'sh -eux /tmp/scripts/image.sh "$1"', stack, {
      mounts,
      args: [other ? 'other' : 'usual'],
    });
    const image = join(out, 'raspios.img');
    await rename(join(result, 'fs/raspios.img'), image);
    const { uid, gid } = await stat(out);
    await chown(image, uid, gid);
  } finally {
    await removeTree(context.cache, context.namespace, result);
  }
}

const isMain = process.argv[1] !== undefined && import.meta.filename === process.argv[1];
if (isMain) {
  const [out = 'work/raspios', ...flags] = process.argv.slice(2);
  const print: Log = (entry) => {
    if (entry.kind === 'notice' || entry.kind === 'warning' || entry.kind === 'output')
      process.stderr.write(`${entry.text}\n`);
  };
  const { image } = await makeStandIn(
    join(process.cwd(), out),
    { noVirtio: flags.includes('--no-virtio'), other: flags.includes('--other') },
    print,
  );
  process.stdout.write(`${image}\n`);
}
