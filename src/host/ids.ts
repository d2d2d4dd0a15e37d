import { readFile, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { StepError } from '../core/errors.ts';
import { hostRunner } from './runner.ts';

/** How many ids an image may use: 0 to 65535. */
export const ID_COUNT = 65536;

/** Ids of the host that a namespace's ids stand for, as lines of uid_map(5): inside, outside, count. */
export type IdMap = readonly (readonly [inside: number, outside: number, count: number])[];

/**
 * Host root never appears in a map. With host root mapped, a maintainer script could change the host's kernel settings;
 * with a range that nobody else uses it is refused.
 */
const ROOTS_RANGE = 1_000_000_000;

/** The first range of `text` (/etc/subuid or /etc/subgid) that belongs to the user and is large enough. */
export function subordinateRange(text: string, user: { name: string; uid: number }): number | undefined {
  for (const line of text.split('\n')) {
    const [owner, start, count] = line.split(':');
    if ((owner === user.name || owner === String(user.uid)) && Number(count) >= ID_COUNT - 1) return Number(start);
  }
  return undefined;
}

/** The range of an outer namespace's ids that root may hand on, when this process does not see all ids itself. */
export function rootRange(uidMap: string): number {
  const ranges = uidMap
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number));
  const holds = ranges.some(
    ([start = 0, , count = 0]) => start <= ROOTS_RANGE && ROOTS_RANGE + ID_COUNT <= start + count,
  );
  if (holds) return ROOTS_RANGE;
  const roomy = ranges.find(([, , count = 0]) => count >= 2 * ID_COUNT);
  if (roomy === undefined) {
    throw new StepError({
      message: `root has too few ids here to give ${ID_COUNT} of them to a namespace`,
      hint: 'Run as an ordinary user with subordinate ids, or in a container that has more than 131072 ids.',
    });
  }
  const [start = 0, , count = 0] = roomy;
  return start + count - ID_COUNT;
}

async function userMap(file: string, own: number): Promise<IdMap> {
  const user = userInfo();
  const text = await readFile(file, 'utf8').catch(() => '');
  const start = subordinateRange(text, { name: user.username, uid: user.uid });
  if (start === undefined) {
    throw new StepError({
      message: `${user.username} has no range of ${ID_COUNT} subordinate ids in ${file}`,
      hint: `sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ${user.username}`,
    });
  }
  return [
    [0, own, 1],
    [1, start, ID_COUNT - 1],
  ];
}

export interface IdMaps {
  readonly uid: IdMap;
  readonly gid: IdMap;
}

/** The maps for whoever runs this. @throws StepError when there are no ids to map. */
export async function idMaps(): Promise<IdMaps> {
  const { uid, gid } = userInfo();
  if (uid !== 0) return { uid: await userMap('/etc/subuid', uid), gid: await userMap('/etc/subgid', gid) };
  const uids = rootRange(await readFile('/proc/self/uid_map', 'utf8'));
  const gids = rootRange(await readFile('/proc/self/gid_map', 'utf8'));
  return { uid: [[0, uids, ID_COUNT]], gid: [[0, gids, ID_COUNT]] };
}

/** Gives the waiting process its ids. Root writes the maps itself; others need the set-uid helpers of `uidmap`. */
export async function applyIdMaps(pid: number, maps: IdMaps): Promise<void> {
  if (userInfo().uid === 0) {
    const text = (map: IdMap): string => map.map((line) => `${line.join(' ')}\n`).join('');
    await writeFile(`/proc/${pid}/uid_map`, text(maps.uid));
    await writeFile(`/proc/${pid}/gid_map`, text(maps.gid));
    return;
  }
  await hostRunner.run(['newuidmap', String(pid), ...maps.uid.flat().map(String)]);
  await hostRunner.run(['newgidmap', String(pid), ...maps.gid.flat().map(String)]);
}
