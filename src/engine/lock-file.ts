import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { UserError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { Plan } from '../core/plan.ts';
import { openCache } from '../host/cache.ts';
import { openNamespace } from '../host/namespace.ts';
import { TOOLBOX_PACKAGES } from '../toolbox/packages.ts';
import { formatLock, type Lock, lockAge, lockDifference, parseLock, requestedPackages } from './lock.ts';
import { makeLock } from './resolve.ts';

export interface LockOptions {
  /** Where the lock file is, or will be. */
  readonly lockFile: string;
  /** File with the keys that indexes must be signed with. Default: Debian's. */
  readonly keyring?: string;
  readonly signal?: AbortSignal;
}

const DAYS_UNTIL_OLD = 7;

/** Asks the archives what the plan's packages are today, and writes that down. @throws StepError as makeLock does. */
export async function writeLock(plan: Plan, options: LockOptions, log: Log): Promise<Lock> {
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
export async function openLock(plan: Plan, options: LockOptions, log: Log): Promise<Lock> {
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
