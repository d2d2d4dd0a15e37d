import { mkdtemp, open, rm, rmdir, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { UserError } from '../core/errors.ts';

const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'this user may not write there',
  EPERM: 'this user may not write there',
  EROFS: 'the file system is read-only',
  ENOSPC: 'the disk is full',
  EDQUOT: "this user's share of the disk is full",
  ENOENT: 'nothing can be made there',
};

/**
 * Makes sure that files can be made in a folder that may not be there yet, before hours of work that would end there.
 * Leaves nothing behind, not even the folder. @throws UserError
 */
export async function checkWritable(folder: string): Promise<void> {
  const { path, isFolder } = await nearest(resolve(folder));
  if (!isFolder) throw new UserError(`${folder} cannot be written: ${path} is no folder`);
  try {
    await rmdir(await mkdtemp(join(path, '.amslpr-')));
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? '';
    const message = `${folder} cannot be written: ${REASONS[code] ?? code}`;
    throw new UserError({ message, hint: 'Give another place.' }, { cause });
  }
}

/** The path itself, or the first one above it that is there. */
async function nearest(path: string): Promise<{ readonly path: string; readonly isFolder: boolean }> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined && path !== dirname(path)) return nearest(dirname(path));
  return { path, isFolder: found?.isDirectory() === true };
}

/** Writes a file that must not be there yet. After a failure, such as a full disk, nothing of it is left. */
export async function writeNew(path: string, text: string, mode = 0o666): Promise<void> {
  const file = await open(path, 'wx', mode);
  try {
    await file.writeFile(text);
  } catch (error) {
    await rm(path, { force: true });
    // Node leaves the path out once a file is open.
    throw error instanceof Error ? Object.assign(error, { path }) : error;
  } finally {
    await file.close();
  }
}
