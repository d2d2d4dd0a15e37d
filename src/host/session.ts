import { randomBytes } from 'node:crypto';
import { existsSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { Cache } from './cache.ts';
import { lockFile, tryLock } from './flock.ts';

const sessions = new Map<string, Promise<string>>();

const fileOf = (cache: Cache, session: string): string => join(cache.locks, `session-${session}`);

/**
 * This process's name in a cache: eight hex digits, in the names of everything that it works on. It holds a lock on the
 * session's file for as long as it lives, so that others can tell what a killed process left. Process numbers could not:
 * they are used again, and mean nothing in another container.
 */
export function sessionOf(cache: Cache): Promise<string> {
  const known = sessions.get(cache.root);
  if (known !== undefined) return known;
  const made = begin(cache);
  sessions.set(cache.root, made);
  return made;
}

async function begin(cache: Cache): Promise<string> {
  const session = randomBytes(4).toString('hex');
  await lockFile(fileOf(cache, session));
  if (files.length === 0) process.once('exit', removeFiles);
  files.push(fileOf(cache, session));
  return session;
}

const files: string[] = [];

function removeFiles(): void {
  for (const file of files) {
    try {
      unlinkSync(file);
    } catch {
      // The cache is gone, or cannot be written any more: whoever comes next finds the lock without a holder.
    }
  }
}

/** Whether the process that had this session is gone. */
export async function isOver(cache: Cache, session: string): Promise<boolean> {
  if ((await sessions.get(cache.root)) === session) return false;
  const file = fileOf(cache, session);
  if (!existsSync(file)) return true;
  const held = await tryLock(file, 'exclusive');
  if (held === undefined) return !existsSync(file);
  unlinkSync(file);
  held.release();
  return true;
}
