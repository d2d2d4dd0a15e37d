import { count, readParameters, type Scan } from './scan.ts';

/** Secrets that AMSLPR's public source holds: whoever uses them shares them with everybody. */
const PUBLISHED: Readonly<Record<string, string>> = {
  '7311b6ccad411293a837a3f37cab0c9223981d678b30ca54606371439371b672': "AMSLPR's published crypto.key",
  '3a5bada5ed347d8283df3339d7f3d657e8b739c37347b9f08906d034518d946f': "AMSLPR's published users.json (admin/admin)",
};
const NAMES = ['crypto.key', 'users.json', 'camera_config.json', 'cookies.txt'];
/** Both published files have less than 1 KiB; bigger ones need no digest. */
const MAX_SIZE = 1 << 20;

/** None of the application's published secrets is in the image, and no file by their names at all. */
export const knownLeaks: Scan = (tree, parameters) => {
  const given = readParameters(parameters, ['names', 'sha256']);
  const names = new Set([...NAMES, ...given.strings('names')]);
  const digests = new Map(Object.entries(PUBLISHED));
  for (const digest of given.strings('sha256')) digests.set(digest.toLowerCase(), 'a published secret');
  let looked = 0;
  const problems: string[] = [];
  for (const entry of tree.entries()) {
    if (entry.type !== 'file') continue;
    if (names.has(entry.path.slice(entry.path.lastIndexOf('/') + 1))) problems.push(`${entry.path} is there`);
    if (entry.size > MAX_SIZE || entry.size === 0) continue;
    looked++;
    const what = digests.get(tree.sha256(entry.path) ?? '');
    if (what !== undefined) problems.push(`${entry.path} is ${what}`);
  }
  return { looked: `SHA-256 of ${count(looked, 'file')}, names ${[...names].join(' ')}`, problems };
};
