import { existsSync } from 'node:fs';
import { chmod, chown, lstat, mkdir, readlink, symlink, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import type { Cache } from './cache.ts';

/** Folders and files that can be bound for one run. */
export const SLOTS = 16;
/** What a namespace sees of the host: its programs and their configuration. */
export const HOST_FOLDERS = ['bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32', 'usr', 'etc'];

/**
 * Mount points for the outer root. They are real directories, since whoever mounts is not yet mapped and so can create
 * nothing; every namespace mounts onto the same ones in a table of its own.
 */
export async function ensureSkeleton(cache: Cache): Promise<void> {
  const make = async (name: string): Promise<void> => {
    await mkdir(join(cache.skeleton, name), { recursive: true, mode: 0o755 });
  };
  if (existsSync(join(cache.skeleton, 'complete'))) return;
  for (const folder of HOST_FOLDERS) {
    const seen = await lstat(`/${folder}`).catch(() => undefined);
    const present = await lstat(join(cache.skeleton, folder)).catch(() => undefined);
    if (seen === undefined || present !== undefined) continue;
    if (seen.isSymbolicLink()) await symlink(await readlink(`/${folder}`), join(cache.skeleton, folder));
    else await make(folder);
  }
  for (const name of ['dev', 'proc', 'sys', 'tmp', 'run', 'var', 'cache', 'root', 'image', 'binfmt']) await make(name);
  for (let slot = 0; slot < SLOTS; slot += 1) {
    await make(`d${slot}`);
    await writeFile(join(cache.skeleton, `f${slot}`), '');
  }
  await writeFile(join(cache.skeleton, 'complete'), '');
}

/** Hands the folders in which a namespace makes directories to the namespace's root. */
export async function ownByNamespace(cache: Cache, uid: number, gid: number): Promise<void> {
  if (userInfo().uid !== 0) return;
  for (const folder of [cache.layers, cache.toolboxes]) {
    await chown(folder, uid, gid);
    await chmod(folder, 0o755);
  }
}
