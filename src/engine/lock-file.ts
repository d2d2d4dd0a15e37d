import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { UserError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { Plan } from '../core/plan.ts';
import { openCache } from '../host/cache.ts';
import { openNamespace } from '../host/namespace.ts';
import { checkWritable } from '../host/writable.ts';
import { TOOLBOX_PACKAGES } from '../toolbox/packages.ts';
import { openToolbox } from '../toolbox/toolbox.ts';
import { findMirrors } from './archive.ts';
import { identifyImage } from './base/image-file.ts';
import { openBase } from './base/layer.ts';
import { resolveOnBase } from './base/resolve.ts';
import { BASE_PACKAGES, formatLock, type Lock, lockAge, lockDifference, parseLock, requestedPackages } from './lock.ts';
import { makeLock } from './resolve.ts';

export interface LockOptions {
  /** Where the lock file is, or will be. */
  readonly lockFile: string;
  /** File with the keys that indexes must be signed with. Default: Debian's. */
  readonly keyring?: string;
  /** Folder of the project. */
  readonly project: string;
  readonly signal?: AbortSignal;
}

const DAYS_UNTIL_OLD = 7;

/** Asks the archives what the plan's packages are today, and writes that down. @throws StepError as makeLock does. */
export async function writeLock(plan: Plan, options: LockOptions, log: Log): Promise<Lock> {
  await checkWritable(dirname(options.lockFile));
  const cache = await openCache();
  const namespace = await openNamespace(cache);
  const { keyring, signal } = options;
  const asked = await makeLock(
    namespace,
    {
      toolboxes: TOOLBOX_PACKAGES,
      ...(plan.base.kind === 'debian' ? { packages: requestedPackages(plan), base: BASE_PACKAGES } : {}),
      ...(plan.base.mirror === undefined ? {} : { mirror: plan.base.mirror }),
      ...(keyring === undefined ? {} : { keyring }),
      ...(signal === undefined ? {} : { signal }),
    },
    log,
  );
  const lock = plan.base.kind === 'debian' ? asked : await lockOnBase(plan, asked, options, log);
  await mkdir(dirname(options.lockFile), { recursive: true });
  const partial = `${options.lockFile}.${process.pid}.partial`;
  await writeFile(partial, formatLock(lock));
  await rename(partial, options.lockFile);
  return lock;
}

/** The base image has to be unpacked to know what is missing: by the toolbox that was just locked. */
async function lockOnBase(plan: Plan, asked: Lock, options: LockOptions, log: Log): Promise<Lock> {
  if (plan.base.kind !== 'raspios') throw new TypeError(plan.base.kind);
  const cache = await openCache();
  const namespace = await openNamespace(cache);
  const { keyring, signal, project } = options;
  const sha256 = await identifyImage(cache, plan.base);
  const mirrors = () => findMirrors(plan.base.mirror);
  const place = {
    cache,
    namespace,
    log,
    image: plan.name,
    lock: asked,
    mirrors,
    ...(signal === undefined ? {} : { signal }),
  };
  const toolbox = await openToolbox('build', place);
  const layer = await openBase({ ...place, toolbox }, plan.base, { sha256 });
  const input = { ...place, toolbox, project, ...(keyring === undefined ? {} : { keyring }) };
  const { packages, indexes, base } = await resolveOnBase(input, layer, plan);
  return {
    ...asked,
    indexes: [...asked.indexes, ...indexes],
    base: { sha256, ...base },
    image: { requested: requestedPackages(plan), packages },
  };
}

/** The lock for a plan: read, or made when it is missing. @throws UserError when it was made for other packages. */
export async function openLock(plan: Plan, options: LockOptions, log: Log): Promise<Lock> {
  const { lockFile } = options;
  if (!existsSync(lockFile)) {
    log({ kind: 'notice', text: `No lock yet: writing ${lockFile}` });
    return writeLock(plan, options, log);
  }
  const lock = parseLock(await readFile(lockFile, 'utf8'), lockFile);
  await refuseOtherBase(lock, plan, lockFile);
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

/** @throws UserError when the lock was made for another base than the plan's. */
async function refuseOtherBase({ base }: Lock, plan: Plan, file: string): Promise<void> {
  const refuse = (message: string): never => {
    throw new UserError({ message, where: { file }, hint: 'Refresh it with the verb `lock`.' });
  };
  if (plan.base.kind === 'debian') {
    if (base !== undefined) refuse('The lock was made for the base raspios');
    return;
  }
  if (base === undefined) return refuse('The lock was made for the base debian');
  const found = await identifyImage(await openCache(), plan.base);
  if (found !== base.sha256) {
    refuse(`The lock was made for the base image with SHA-256 ${base.sha256}; ${plan.base.image} has ${found}`);
  }
}
