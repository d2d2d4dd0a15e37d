import { readdir, readFile, realpath, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { StepError } from '../core/errors.ts';
import type { Runner } from '../host/runner.ts';
import { blockTree, type Snapshot, type SysfsFacts } from './block-tree.ts';

const names = (folder: string): Promise<string[]> => readdir(folder).catch(() => []);

async function factsOf(sys: string, kname: string): Promise<SysfsFacts> {
  const folder = join(sys, 'block', kname.replaceAll('/', '!'));
  const cardType = await readFile(join(folder, 'device', 'type'), 'utf8').then(
    (text) => text.trim(),
    () => undefined,
  );
  const holders = await names(join(folder, 'holders'));
  for (const entry of await names(folder)) {
    if (entry.startsWith(basename(folder))) holders.push(...(await names(join(folder, entry, 'holders'))));
  }
  return { ...(kname.startsWith('mmcblk') && cardType !== undefined ? { cardType } : {}), holders };
}

/** What this machine looks like now. Needs no privileges. @throws StepError without lsblk. */
export async function readSnapshot(runner: Runner, sys = '/sys'): Promise<Snapshot> {
  const { stdout } = await runner.run(['lsblk', '--json', '-b', '-O'], { timeout: 30 });
  let lsblk: unknown;
  try {
    lsblk = JSON.parse(stdout);
  } catch (cause) {
    throw new StepError({ message: 'lsblk printed something that is no JSON' }, { cause });
  }
  const sysfs: Record<string, SysfsFacts> = {};
  for (const { kname } of blockTree(lsblk)) sysfs[kname] = await factsOf(sys, kname);
  return { lsblk, sysfs };
}

/** The path behind links such as /dev/disk/by-id/..., or undefined when there is nothing. */
export const followLinks = (path: string): Promise<string | undefined> => realpath(path).catch(() => undefined);

/** The loop devices that are set up on a file: what is mounted from them would change below the one who mounted it. */
export async function loopsOver(file: string, sys = '/sys'): Promise<string[]> {
  const wanted = await stat(file);
  const over: string[] = [];
  for (const name of await names(join(sys, 'block'))) {
    if (!name.startsWith('loop')) continue;
    const backing = await readFile(join(sys, 'block', name, 'loop', 'backing_file'), 'utf8').catch(() => undefined);
    const found = backing === undefined ? undefined : await stat(backing.replace(/\n$/, '')).catch(() => undefined);
    if (found?.dev === wanted.dev && found.ino === wanted.ino) over.push(`/dev/${name}`);
  }
  return over;
}
