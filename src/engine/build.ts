import { existsSync } from 'node:fs';
import { chmod, chown, copyFile, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { UserError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { Plan } from '../core/plan.ts';
import { openCache } from '../host/cache.ts';
import { type Layer, newFolder, openLayer, removeTree } from '../host/layer.ts';
import { openNamespace } from '../host/namespace.ts';
import { digestOf } from '../plan/digest.ts';
import { openDispatch } from '../toolbox/dispatch.ts';
import { TOOLBOX_PACKAGES } from '../toolbox/packages.ts';
import { openToolbox } from '../toolbox/toolbox.ts';
import { findMirrors } from './archive.ts';
import { makeCompanions, sha256File } from './companions.ts';
import type { BuildContext } from './context.ts';
import { download, packageFile } from './download.ts';
import {
  formatLock,
  type Lock,
  lockAge,
  lockDifference,
  lockDigest,
  parseLock,
  requestedPackages,
  sourceDateEpoch,
} from './lock.ts';
import { makeLock } from './resolve.ts';
import { isLocal } from './steps/apt-sources.ts';
import { applyFiles, filesKey, makeInitramfs } from './steps/files.ts';
import { writeImage } from './steps/image.ts';
import { installPackages } from './steps/packages.ts';

export interface BuildOptions {
  /** Folder that the image and its companions appear in, when they are complete. */
  readonly out: string;
  /** Where the lock file is, or will be. */
  readonly lockFile: string;
  /** Folder of the project. */
  readonly project: string;
  readonly release?: boolean;
  /** Emulate every program of the image. */
  readonly noDispatch?: boolean;
  readonly keyring?: string;
  readonly signal?: AbortSignal;
}

export interface BuildResult {
  readonly image: string;
  readonly sha256: string;
  /** Everything that was written, as paths. */
  readonly files: readonly string[];
}

const DAYS_UNTIL_OLD = 7;

/** Asks the archives what the plan's packages are today, and writes that down. @throws StepError as makeLock does. */
export async function writeLock(
  plan: Plan,
  options: Pick<BuildOptions, 'lockFile' | 'keyring' | 'signal'>,
  log: Log,
): Promise<Lock> {
  const cache = await openCache();
  const namespace = await openNamespace(cache);
  const lock = await makeLock(
    namespace,
    {
      packages: requestedPackages(plan),
      toolboxes: TOOLBOX_PACKAGES,
      ...(plan.base.kind === 'debian' && plan.base.mirror !== undefined ? { mirror: plan.base.mirror } : {}),
      ...(options.keyring === undefined ? {} : { keyring: options.keyring }),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    },
    log,
  );
  await mkdir(dirname(options.lockFile), { recursive: true });
  const partial = `${options.lockFile}.${process.pid}.partial`;
  await writeFile(partial, formatLock(lock));
  await rename(partial, options.lockFile);
  return lock;
}

/** The lock for a plan: read, or made when it is missing. @throws UserError when it was made for other packages. */
export async function openLock(plan: Plan, options: BuildOptions, log: Log): Promise<Lock> {
  const { lockFile } = options;
  if (!existsSync(lockFile)) {
    log({ kind: 'notice', text: `No lock yet: writing ${lockFile}` });
    return writeLock(plan, options, log);
  }
  const lock = parseLock(await readFile(lockFile, 'utf8'), lockFile);
  const { missing, extra } = lockDifference(lock, plan);
  if (missing.length + extra.length > 0) {
    const parts = [
      ...missing.map((name) => `lacks ${name}`),
      ...extra.map((name) => `has ${name}, which is not asked for`),
    ];
    throw new UserError({
      message: `The lock was made for other packages: it ${parts.join('; it ')}`,
      where: { file: lockFile },
      hint: 'Refresh it with the verb `lock`, and look at what changed.',
    });
  }
  const age = Math.floor(lockAge(lock));
  if (age > DAYS_UNTIL_OLD) {
    log({
      kind: 'warning',
      text: `${lockFile} is ${age} days old: security updates since then are not in the image. Refresh it with the verb \`lock\`.`,
    });
  }
  return lock;
}

/** Builds the image of a plan from its lock. Nothing appears in `out` unless everything is complete. */
export async function build(plan: Plan, options: BuildOptions, log: Log): Promise<BuildResult> {
  if (plan.base.kind !== 'debian') {
    throw new UserError({
      message: `The base ${plan.base.kind} cannot be built yet`,
      hint: 'Set base.kind to debian.',
    });
  }
  const step = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
    options.signal?.throwIfAborted();
    const start = Date.now();
    log({ kind: 'step-start', step: name });
    try {
      const value = await work();
      log({ kind: 'step-end', step: name, seconds: (Date.now() - start) / 1000, ok: true });
      return value;
    } catch (error) {
      log({ kind: 'step-end', step: name, seconds: (Date.now() - start) / 1000, ok: false });
      throw error;
    }
  };
  const lock = await step('lock', () => openLock(plan, options, log));
  const context = await step('toolbox', () => openContext(plan, lock, options, log));
  const layers = await buildLayers(context, step);
  const { cache, namespace } = context;
  const folder = await newFolder(cache, 'image');
  try {
    await step('image', () => writeImage(context, layers, folder));
    const names = await step('companions', () => makeCompanions(context, layers, folder, options.release === true));
    return await step('output', () => deliver(plan, folder, names, options.out));
  } finally {
    await removeTree(cache, namespace, folder);
  }
}

async function openContext(plan: Plan, lock: Lock, options: BuildOptions, log: Log): Promise<BuildContext> {
  const cache = await openCache();
  const namespace = await openNamespace(cache);
  const mirror = plan.base.kind === 'debian' ? plan.base.mirror : undefined;
  const mirrors = () => findMirrors(mirror);
  if (isLocal((await mirrors()).debian)) {
    log({
      kind: 'warning',
      text: 'The image will look for updates where this build took its packages from, which only this host can reach.',
    });
  }
  const signal = options.signal === undefined ? {} : { signal: options.signal };
  const toolbox = await openToolbox('build', { cache, namespace, lock, mirrors, log, ...signal });
  await download(cache, lock.image.packages, mirrors, log, options.signal);
  const emulated = { emulator: join(toolbox.root, 'usr/bin/qemu-aarch64'), mounts: [], id: 'emulated' };
  const packages = lock.image.packages
    .filter((one) => one.architecture !== 'all')
    .map((one) => ({ ...one, file: packageFile(cache, one) }));
  const dispatched = options.noDispatch !== true && process.arch === 'x64';
  const arm64 = dispatched
    ? await openDispatch({ namespace, cache, toolbox, packages, project: options.project })
    : emulated;
  return { plan, lock, epoch: sourceDateEpoch(lock), cache, namespace, toolbox, arm64, mirrors, log, ...signal };
}

type Step = <T>(name: string, work: () => Promise<T>) => Promise<T>;

/** Version of the steps' own code: raised when the same inputs have to give something else. */
const STEPS_VERSION = '1';

async function buildLayers(context: BuildContext, step: Step): Promise<Layer[]> {
  const { plan, lock, cache, namespace, epoch } = context;
  const open = (name: string, key: string, make: (upper: string) => Promise<void>): Promise<Layer> =>
    step(name, () => openLayer(cache, namespace, name, key, make));
  const packages = await open('packages', digestOf([STEPS_VERSION, lockDigest(lock.image), epoch]), (upper) =>
    installPackages(context, upper),
  );
  const forInitramfs = plan.files.filter((file) => file.initramfs);
  const initramfs = await open('initramfs', digestOf([STEPS_VERSION, packages.key, filesKey(forInitramfs)]), (upper) =>
    makeInitramfs(context, [packages], upper),
  );
  const mirrors = await context.mirrors();
  const files = await open('files', digestOf([STEPS_VERSION, initramfs.key, plan.digest, mirrors]), (upper) =>
    applyFiles(context, [packages, initramfs], upper),
  );
  return [packages, initramfs, files];
}

/** Moves the finished files to `out`, the image last; names of an older build are replaced one by one. */
async function deliver(plan: Plan, folder: string, names: readonly string[], out: string): Promise<BuildResult> {
  const { name } = plan;
  await mkdir(out, { recursive: true });
  const owner = await stat(out);
  const work = join(folder, 'fs');
  const planFile = `${name}.plan.json`;
  const sums = new Map<string, string>();
  for (const file of names) sums.set(file, await sha256File(join(work, file)));
  const summary = {
    ...plan,
    files: plan.files.map(({ bytes, ...file }) => ({
      ...file,
      ...(bytes === undefined ? {} : { sha256: digestOf(bytes) }),
    })),
  };
  const extra: Record<string, string> = {
    [planFile]: `${JSON.stringify(summary, (_key, value: unknown) => (value instanceof RegExp ? String(value) : value), 1)}\n`,
    [`${name}.SHA256SUMS`]: [...sums].map(([file, sum]) => `${sum}  ${file}\n`).join(''),
  };
  const written: string[] = [];
  for (const [file, text] of Object.entries(extra)) {
    const target = join(out, file);
    await writeFile(`${target}.partial`, text);
    await rename(`${target}.partial`, target);
    written.push(target);
  }
  for (const file of [...names].reverse()) {
    const target = join(out, file);
    await move(join(work, file), target);
    await chown(target, owner.uid, owner.gid);
    await chmod(target, 0o644);
    written.push(target);
  }
  return { image: join(out, `${name}.img`), sha256: sums.get(`${name}.img`) ?? '', files: written };
}

async function move(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error;
    const partial = `${to}.partial`;
    try {
      await copyFile(from, partial);
      await rename(partial, to);
    } finally {
      await rm(partial, { force: true });
    }
  }
}
