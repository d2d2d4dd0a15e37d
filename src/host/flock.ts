import { spawn } from 'node:child_process';
import { closeSync, constants, fstatSync, openSync, statSync, unlinkSync } from 'node:fs';
import { StepError } from '../core/errors.ts';

/** A lock that this process holds. It ends with the process, however that ends: the kernel keeps it with the open file. */
export interface Held {
  release(): void;
}

export type LockMode = 'exclusive' | 'shared';

/**
 * flock(1) locks an open file that it inherits, and ends; the lock stays with the file, which is open here. Node opens
 * files so that no other program inherits them. False: somebody else holds it.
 */
function flock(fd: number, mode: LockMode, wait: boolean, signal?: AbortSignal): Promise<boolean> {
  const args = [`--${mode}`, ...(wait ? [] : ['--nonblock', '--conflict-exit-code', '75']), '0'];
  return new Promise((resolve, reject) => {
    // execa gives open files only to programs that it waits for.
    const child = spawn('flock', args, {
      stdio: [fd, 'ignore', 'ignore'],
      ...(signal === undefined ? {} : { signal }),
    });
    child.once('error', reject);
    child.once('exit', (code) => {
      if (code === 0 || code === 75) resolve(code === 0);
      else reject(new StepError(`flock ended with ${code}: the cache cannot be locked`));
    });
  });
}

/** Whether `path` still names the file that is open: a holder may have removed it, and locked nothing that others see. */
function isNamed(fd: number, path: string): boolean {
  const [open, named] = [fstatSync(fd), statSync(path, { throwIfNoEntry: false })];
  return named !== undefined && named.ino === open.ino && named.dev === open.dev;
}

function tryOpen(path: string): number | undefined {
  try {
    return openSync(path, constants.O_RDONLY);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Locks a file or folder that is there. Undefined: it is gone, or somebody holds a lock that excludes this one. */
export async function tryLock(path: string, mode: LockMode): Promise<Held | undefined> {
  const fd = tryOpen(path);
  if (fd === undefined) return undefined;
  try {
    if ((await flock(fd, mode, false)) && isNamed(fd, path)) return { release: () => closeSync(fd) };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  closeSync(fd);
  return undefined;
}

export interface WaitOptions {
  readonly signal?: AbortSignal;
  /** Called once when somebody else holds it. */
  readonly onWait?: () => void;
}

/** Locks `path`, which is made for it and removed by the release; waits for as long as others hold it. */
export async function lockFile(path: string, { signal, onWait }: WaitOptions = {}): Promise<Held> {
  let told = false;
  for (;;) {
    const fd = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600);
    try {
      if (!(await flock(fd, 'exclusive', false))) {
        if (!told) onWait?.();
        told = true;
        await flock(fd, 'exclusive', true, signal);
      }
      if (isNamed(fd, path)) {
        return {
          release: () => {
            unlinkSync(path);
            closeSync(fd);
          },
        };
      }
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    closeSync(fd);
  }
}
