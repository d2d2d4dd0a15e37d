import { accountNames, modeAndOwner } from '../accounts.ts';
import { anyPattern } from '../paths.ts';
import type { TreeEntry } from '../tree.ts';
import { count, readParameters, type Scan } from './scan.ts';

const onBootPartition = (entry: TreeEntry): boolean => entry.path.startsWith('/boot/firmware/');

/** Every SUID or SGID file is on the list: each is a way to become somebody else. */
export const suid: Scan = (tree, parameters) => {
  const allowed = anyPattern(readParameters(parameters, ['allow']).strings('allow'));
  const names = accountNames(tree);
  const found = [...tree.entries()].filter((entry) => entry.type === 'file' && (entry.mode & 0o6000) !== 0);
  return {
    looked: `${count(found.length, 'SUID or SGID file')}: ${found.map((entry) => entry.path).join(' ') || 'none'}`,
    problems: found
      .filter((entry) => !allowed(entry.path))
      .map((entry) => `${entry.path} is ${modeAndOwner(entry, names)} and not expected`),
  };
};

/** Nothing is writable by all, but for folders with the sticky bit; links and devices carry no such right. */
export const worldWritable: Scan = (tree, parameters) => {
  const allowed = anyPattern(readParameters(parameters, ['allow']).strings('allow'));
  const names = accountNames(tree);
  let looked = 0;
  const problems: string[] = [];
  for (const entry of tree.entries()) {
    if (onBootPartition(entry) || !['file', 'directory', 'fifo', 'socket'].includes(entry.type)) continue;
    looked++;
    const sticky = entry.type === 'directory' && (entry.mode & 0o1000) !== 0;
    if ((entry.mode & 0o002) === 0 || sticky || allowed(entry.path)) continue;
    problems.push(`${entry.path} is ${modeAndOwner(entry, names)}`);
  }
  return { looked: `${count(looked, 'file or folder', 'files and folders')}`, problems };
};

/** Every owner has a name: files of a number belong to whoever gets that number next. */
export const fileOwners: Scan = (tree, parameters) => {
  const allowed = anyPattern(readParameters(parameters, ['allow']).strings('allow'));
  const names = accountNames(tree);
  let looked = 0;
  const owners = new Set<string>();
  const problems: string[] = [];
  for (const entry of tree.entries()) {
    if (onBootPartition(entry)) continue;
    looked++;
    owners.add(`${names.user(entry.uid)}:${names.group(entry.gid)}`);
    if ((names.hasUser(entry.uid) && names.hasGroup(entry.gid)) || allowed(entry.path)) continue;
    problems.push(`${entry.path} belongs to ${names.user(entry.uid)}:${names.group(entry.gid)}`);
  }
  return { looked: `${count(looked, 'entry', 'entries')} of ${count(owners.size, 'owner')}`, problems };
};
