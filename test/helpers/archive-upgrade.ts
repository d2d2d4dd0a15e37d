import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Tree } from '../../src/audit/tree.ts';
import { silent } from '../../src/core/log.ts';
import type { Plan } from '../../src/core/plan.ts';
import { findMirrors } from '../../src/engine/archive.ts';
import { download, packageFile } from '../../src/engine/download.ts';
import type { Lock, LockedPackage } from '../../src/engine/lock.ts';
import { openCache } from '../../src/host/cache.ts';
import { type ArchiveKey, makeArchiveKey, writeArchive } from './archive.ts';
import { type Deb, pathOf, readDeb, writeDeb } from './archive-deb.ts';
import { newerDeb, newerKernel, newerKernelMeta, nextRelease } from './archive-newer.ts';
import { type Touched, touchedPackages } from './archive-touched.ts';

export interface Upgrade {
  readonly key: ArchiveKey;
  readonly touched: readonly Touched[];
  /** Name to version of every package that is newer. */
  readonly versions: ReadonlyMap<string, string>;
  /** Path to MD5 of every changed configuration file, as it is in the newer package. */
  readonly conffiles: ReadonlyMap<string, string>;
  readonly oldRelease: string;
  readonly newRelease: string;
}

const KERNEL = /^linux-image-(\d.*)$/;

function kernelOf(lock: Lock): { kernel: LockedPackage; meta: LockedPackage; oldRelease: string } {
  const kernels = lock.image.packages.filter(({ name }) => KERNEL.test(name));
  const [kernel] = kernels;
  const oldRelease = KERNEL.exec(kernel?.name ?? '')?.[1];
  const meta = lock.image.packages.find(({ name }) => name === 'linux-image-arm64');
  if (kernel === undefined || oldRelease === undefined || meta === undefined || kernels.length !== 1) {
    throw new Error(`the lock has ${kernels.length} kernels`);
  }
  return { kernel, meta, oldRelease };
}

/** Makes the archive `good` in `folder` with nothing but a newer kernel. */
export async function makeKernelUpgrade(
  folder: string,
  lock: Lock,
): Promise<Pick<Upgrade, 'key' | 'versions' | 'oldRelease' | 'newRelease'>> {
  const { kernel, meta, oldRelease } = kernelOf(lock);
  const cache = await openCache();
  await download(cache, [kernel, meta], () => findMirrors(), silent);
  const pool = join(folder, 'pool');
  await mkdir(pool, { recursive: true });
  const versions = new Map<string, string>();
  for (const [one, make] of [
    [kernel, newerKernel],
    [meta, newerKernelMeta],
  ] as const) {
    const deb = make(await readDeb(packageFile(cache, one)), oldRelease);
    const name = deb.control.get('Package') ?? '';
    versions.set(name, deb.control.get('Version') ?? '');
    await writeDeb(deb, join(pool, `${name}.deb`));
  }
  const key = await makeArchiveKey(join(folder, 'gpg'));
  await writeArchive(join(folder, 'good'), { key });
  return { key, versions, oldRelease, newRelease: nextRelease(oldRelease) };
}

/**
 * Makes three archives in `folder` with newer versions of every package that the plan's stages touch, and with a newer
 * kernel: `good`, `unsigned` and `expired`. The packages are those of the lock, from the cache.
 */
export async function makeUpgrade(folder: string, plan: Plan, tree: Tree, lock: Lock): Promise<Upgrade> {
  const touched = touchedPackages(plan, tree);
  const bumped = new Map(touched.map(({ name, version }) => [name, version]));
  const { kernel, meta, oldRelease } = kernelOf(lock);
  const locked = lock.image.packages.filter(({ name }) => bumped.has(name));
  const cache = await openCache();
  await download(cache, [...locked, kernel, meta], () => findMirrors(), silent);
  const read = (one: LockedPackage): Promise<Deb> => readDeb(packageFile(cache, one));

  const pool = join(folder, 'pool');
  await mkdir(pool, { recursive: true });
  const versions = new Map<string, string>();
  const conffiles = new Map<string, string>();
  const add = async (deb: Deb): Promise<void> => {
    const name = deb.control.get('Package') ?? '';
    versions.set(name, deb.control.get('Version') ?? '');
    await writeDeb(deb, join(pool, `${name}.deb`));
  };
  for (const one of locked) {
    if (bumped.get(one.name) !== one.version) throw new Error(`${one.name} in the image is not the one of the lock`);
    const deb = newerDeb(await read(one), bumped);
    const own = new Set(touched.find(({ name }) => name === one.name)?.conffiles);
    for (const entry of deb.data) {
      if (!own.has(pathOf(entry))) continue;
      conffiles.set(pathOf(entry), createHash('md5').update(entry.bytes).digest('hex'));
    }
    await add(deb);
  }
  await add(newerKernel(await read(kernel), oldRelease));
  await add(newerKernelMeta(await read(meta), oldRelease));
  const missing = touched.filter(({ name }) => !versions.has(name));
  if (missing.length > 0) throw new Error(`not in the lock: ${missing.map(({ name }) => name).join(', ')}`);

  const key = await makeArchiveKey(join(folder, 'gpg'));
  await writeArchive(join(folder, 'good'), { key });
  await writeArchive(join(folder, 'unsigned'));
  await writeArchive(join(folder, 'expired'), { key, validUntil: new Date(Date.now() - 86_400_000) });
  return { key, touched, versions, conffiles, oldRelease, newRelease: nextRelease(oldRelease) };
}
