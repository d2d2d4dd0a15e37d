import { capabilityText } from '../capability.ts';
import { count, readParameters, type Scan } from './scan.ts';

/** "cap_a,cap_b+ep" and "cap_b,cap_a=ep" mean the same on a file that had none before. */
const canonical = (text: string): string => {
  const [, names = '', flags = ''] = /^([^+=]*)[+=](.*)$/.exec(text) ?? [];
  return `${names.split(',').sort().join(',')}=${[...flags].sort().join('')}`;
};

/** Files hold exactly the capabilities that are expected; a version 3 one would work in one user namespace only. */
export const capabilities: Scan = (tree, parameters) => {
  const allowed = new Map(Object.entries(readParameters(parameters, ['allow']).record('allow')));
  const problems: string[] = [];
  const found: string[] = [];
  for (const entry of tree.entries()) {
    const raw = entry.xattrs?.['security.capability'];
    if (raw === undefined) continue;
    const { text, version } = capabilityText(raw);
    const want = allowed.get(entry.path);
    found.push(`${entry.path} ${text}`);
    if (want === undefined) problems.push(`${entry.path} has ${text}, which is not expected`);
    else if (canonical(want) !== canonical(text)) problems.push(`${entry.path} has ${text}, not ${want}`);
    if (version !== 2) problems.push(`${entry.path}: capabilities of version ${version}, not 2`);
    allowed.delete(entry.path);
  }
  for (const [path, text] of allowed) problems.push(`${path} lacks ${text}`);
  return { looked: `${count(found.length, 'file')} with capabilities: ${found.join(', ') || 'none'}`, problems };
};
