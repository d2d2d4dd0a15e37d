import { dirname } from 'node:path/posix';
import { type Package, packages } from '../../src/audit/dpkg.ts';
import type { Tree } from '../../src/audit/tree.ts';
import type { Plan } from '../../src/core/plan.ts';
import { exactRelations } from './archive-newer.ts';

export interface Touched {
  readonly name: string;
  readonly version: string;
  readonly conffiles: readonly string[];
  /** The planned path or unit that touches it, or the package that it goes along with. */
  readonly because: string;
}

/** A folder that more packages than this have configuration in is nobody's own: /etc/default, /etc/pam.d… */
const COMMON = 4;

/**
 * The installed packages that have configuration files where the plan has something to say: in a folder of a planned file
 * (or the one that a drop-in folder belongs to), of the same program, with the same path, or with a unit or a file whose
 * state or mode the plan sets. Packages that only go together with one of these come along.
 */
export function touchedPackages(plan: Plan, tree: Tree): Touched[] {
  const installed = (packages(tree) ?? []).filter((one) => one.installed);
  const withFiles = installed.filter((one) => live(one).length > 0);
  const files = filesOf(tree);
  const found = new Map<string, string>();
  const touch = (name: string, because: string): void => {
    if (!found.has(name) && withFiles.some((one) => one.name === name)) found.set(name, because);
  };

  const byFolder = new Map<string, Set<string>>();
  for (const one of withFiles) {
    for (const path of live(one)) {
      for (const folder of foldersOf(path)) byFolder.set(folder, (byFolder.get(folder) ?? new Set()).add(one.name));
    }
  }
  const paths = [...plan.files.filter(({ type }) => type !== 'directory').map(({ path }) => path), ...plan.diversions];
  for (const path of paths) {
    for (const one of withFiles) if (live(one).some((own) => own === path)) touch(one.name, path);
    for (const folder of foldersOf(path)) {
      const owners = byFolder.get(folder) ?? new Set();
      if (owners.size <= COMMON) for (const name of owners) touch(name, path);
    }
    for (const name of dropInOwners(path, withFiles)) touch(name, path);
    for (const name of files.get(dirname(path))?.size === 1 ? (files.get(dirname(path)) ?? []) : []) touch(name, path);
  }
  for (const path of Object.keys(plan.statOverrides)) for (const name of files.get(path) ?? []) touch(name, path);
  for (const unit of Object.keys(plan.units)) {
    for (const name of files.get(`/usr/lib/systemd/system/${unit}`) ?? []) touch(name, unit);
  }
  return together(found, installed, tree);
}

const live = (one: Package): string[] => one.conffiles.filter(({ obsolete }) => !obsolete).map(({ path }) => path);

/** Folders below /etc that a path is in, the innermost first: /etc/ssh/sshd_config.d/x gives two. */
function foldersOf(path: string): string[] {
  const folders: string[] = [];
  for (let folder = dirname(path); /^\/etc\/[^/]/.test(folder); folder = dirname(folder)) folders.push(folder);
  return folders;
}

/** Who has /etc/NAME, when the path is in /etc/NAME.d. */
function dropInOwners(path: string, withFiles: readonly Package[]): string[] {
  const base = /^(.*)\.d$/.exec(dirname(path))?.[1];
  return base === undefined ? [] : withFiles.filter((one) => live(one).includes(base)).map(({ name }) => name);
}

/** Path to names of the packages that have it. */
function filesOf(tree: Tree): ReadonlyMap<string, ReadonlySet<string>> {
  const owners = new Map<string, Set<string>>();
  for (const { path: list } of tree.entries()) {
    const name = /^\/var\/lib\/dpkg\/info\/([^/:]+)(?::[^/]+)?\.list$/.exec(list)?.[1];
    if (name === undefined) continue;
    for (const path of (tree.text(list) ?? '').split('\n')) owners.set(path, (owners.get(path) ?? new Set()).add(name));
  }
  return owners;
}

function together(found: ReadonlyMap<string, string>, installed: readonly Package[], tree: Tree): Touched[] {
  const reasons = new Map(found);
  const relations = exactNeeds(tree);
  for (let before = -1; before !== reasons.size; ) {
    before = reasons.size;
    for (const [name, needs] of relations) {
      const needed = needs.find((need) => reasons.has(need));
      if (needed !== undefined && !reasons.has(name)) reasons.set(name, `needs exactly this ${needed}`);
    }
  }
  return installed.flatMap((one) => {
    const because = reasons.get(one.name);
    return because === undefined ? [] : [{ name: one.name, version: one.version, conffiles: live(one), because }];
  });
}

/** Name of each installed package to the names of those that it needs in exactly one version. */
function exactNeeds(tree: Tree): Map<string, string[]> {
  const needs = new Map<string, string[]>();
  for (const block of (tree.text('/var/lib/dpkg/status') ?? '').split('\n\n')) {
    const field = (key: string): string => new RegExp(`^${key}: (.*)$`, 'm').exec(block)?.[1] ?? '';
    const exact = exactRelations(`${field('Depends')}, ${field('Pre-Depends')}`);
    needs.set(
      field('Package'),
      exact.map(({ name }) => name),
    );
  }
  return needs;
}
