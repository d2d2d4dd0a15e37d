import { resolvePath } from './paths.ts';
import type { Tree } from './tree.ts';

/** Where system units lie, the first wins. /run is empty in an image. */
const FOLDERS = ['/etc/systemd/system', '/usr/local/lib/systemd/system', '/usr/lib/systemd/system'] as const;
const PULLS = /^\/(?:etc|usr\/local\/lib|usr\/lib)\/systemd\/system\/([^/]+)\.(wants|requires|upholds)\/([^/]+)$/;

interface UnitFacts {
  readonly state: 'enabled' | 'disabled' | 'masked' | 'missing';
  /** What the state was read from. */
  readonly evidence: string;
}

export interface Units {
  facts(unit: string): UnitFacts;
  /** Links that start something, from /etc and the packages' own. */
  readonly pulls: readonly Pull[];
  /** Text of the unit file that counts, without drop-ins. */
  file(unit: string): string | undefined;
}

interface Pull {
  readonly path: string;
  /** The unit that pulls, e.g. multi-user.target. */
  readonly by: string;
  readonly unit: string;
}

const template = (unit: string): string => unit.replace(/@[^.]*\./, '@.');

/** Reads which units the image starts, without systemd: links in *.wants and the like, aliases and masks. */
export function readUnits(tree: Tree): Units {
  const pulls: Pull[] = [];
  for (const { path } of tree.entries()) {
    const [, by, , unit] = PULLS.exec(path) ?? [];
    if (by !== undefined && unit !== undefined) pulls.push({ path, by, unit });
  }

  /** The highest-ranking file or link of that name. */
  const locate = (unit: string): string | undefined =>
    FOLDERS.map((folder) => `${folder}/${unit}`).find((path) => tree.get(path) !== undefined);

  const isMask = (path: string): boolean => {
    const entry = tree.get(path);
    return (entry?.type === 'symlink' && entry.target === '/dev/null') || (entry?.type === 'file' && entry.size === 0);
  };

  /** The name of the unit that an alias leads to; the name itself when it is none. */
  const canonical = (unit: string): string => {
    const path = locate(unit);
    if (path === undefined || isMask(path)) return unit;
    const real = resolvePath((at) => tree.get(at), path, 'follow');
    const name = real?.slice(real.lastIndexOf('/') + 1) ?? unit;
    // An instance is a link to its template; it keeps its own name.
    return name === template(unit) ? unit : name;
  };

  const file = (unit: string): string | undefined => {
    const path = locate(unit) ?? locate(template(unit));
    return path === undefined ? undefined : tree.text(path);
  };

  const facts = (unit: string): UnitFacts => {
    const path = locate(unit);
    if (path !== undefined && isMask(path)) return { state: 'masked', evidence: `${path} leads to /dev/null` };
    const own = canonical(unit);
    const starts = pulls.filter((pull) => pull.unit === unit || canonical(pull.unit) === own);
    if (path === undefined && locate(template(unit)) === undefined) {
      const dangling = starts[0] === undefined ? '' : `, though ${starts[0].path} wants it`;
      return { state: 'missing', evidence: `there is no unit file of that name${dangling}` };
    }
    if (starts.length > 0) return { state: 'enabled', evidence: starts.map((pull) => pull.path).join(', ') };
    const install = (file(unit) ?? '').split('\n').filter((line) => /^(WantedBy|RequiredBy|UpheldBy)=\S/.test(line));
    const alias = [...aliases(tree, own)];
    if (install.length === 0 && alias.length > 0) return { state: 'enabled', evidence: `alias ${alias.join(', ')}` };
    return { state: 'disabled', evidence: `${path ?? locate(template(unit))}, and no link starts it` };
  };
  return { facts, pulls, file };
}

/** Links directly in /etc/systemd/system that give a unit another name. */
function* aliases(tree: Tree, unit: string): Iterable<string> {
  for (const entry of tree.entries()) {
    if (entry.type !== 'symlink' || !/^\/etc\/systemd\/system\/[^/]+$/.test(entry.path)) continue;
    if (entry.target !== '/dev/null' && entry.target?.endsWith(`/${unit}`) && !entry.path.endsWith(`/${unit}`)) {
      yield entry.path;
    }
  }
}
