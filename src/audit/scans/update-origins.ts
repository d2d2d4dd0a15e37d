import type { Tree } from '../tree.ts';
import { count, readParameters, type Scan } from './scan.ts';

const LISTS = /^\/etc\/apt\/sources\.list\.d\/[^/]+\.(sources|list)$/;
const SETTINGS = /^\/etc\/apt\/apt\.conf\.d\/[^/]+$/;

/** Sources files with an archive that is not Debian's own. */
function others(tree: Tree): string[] {
  const found: string[] = [];
  for (const { path, type } of tree.entries()) {
    if (type !== 'file' || !LISTS.test(path)) continue;
    const text = (tree.text(path) ?? '').replace(/^#.*$/gm, '');
    for (const stanza of text.split(/\n\s*\n/)) {
      const uri = /^(?:URIs:|deb(?:\s+\[[^\]]*\])?)\s*(\S+)/im.exec(stanza)?.[1];
      const disabled = /^Enabled:\s*(no|false|0)\s*$/im.test(stanza);
      if (uri !== undefined && !disabled && !/debian-archive-keyring/.test(stanza)) found.push(`${path} (${uri})`);
    }
  }
  return found;
}

/**
 * unattended-upgrades takes packages from the archives that its patterns name, Debian's only when it is new: each further
 * archive of the image needs a pattern of another origin.
 */
export const updateOrigins: Scan = (tree, parameters) => {
  readParameters(parameters, []);
  const archives = others(tree);
  const patterns = new Set<string>();
  for (const { path, type } of [...tree.entries()].sort((a, b) => (a.path < b.path ? -1 : 1))) {
    if (type !== 'file' || !SETTINGS.test(path)) continue;
    const text = (tree.text(path) ?? '').replace(/^\s*\/\/.*$/gm, '');
    if (/^#clear Unattended-Upgrade::Origins-Pattern;/m.test(text)) patterns.clear();
    for (const [, block = ''] of text.matchAll(/Unattended-Upgrade::Origins-Pattern\s*\{(.*?)^\s*\};/gms)) {
      for (const [, pattern = ''] of block.matchAll(/"([^"]+)"/g)) patterns.add(pattern);
    }
  }
  const foreign = [...patterns].filter((pattern) => !/\borigin=Debian\b/.test(pattern));
  const problems = archives.length > 0 && foreign.length === 0 ? archives.map((one) => `no pattern covers ${one}`) : [];
  return {
    looked: `${count(archives.length, 'archive')} beside Debian's, ${count(patterns.size, 'pattern')}`,
    problems,
  };
};
