import { existsSync, readFileSync } from 'node:fs';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { keyOf } from '../host/inputs.ts';
import { type LayerPlace, layerFolder, openLayer } from '../host/layer.ts';
import type { Mount } from '../host/namespace.ts';
import { sha256 } from '../plan/digest.ts';
import { parseRules, ruleFor } from './dispatch-rules.ts';

/** A package as both lists name it. `file` is the arm64 .deb in the cache. */
export interface TargetPackage {
  readonly name: string;
  readonly version: string;
  readonly sha256: string;
  readonly file: string;
}

/** What a namespace needs to run arm64 programs by dispatch: the handler to register and what to mount below /run. */
export interface Dispatch {
  readonly emulator: string;
  readonly mounts: readonly Mount[];
  /** Part of the key of whatever is built with it. */
  readonly id: string;
  /** Makes it when it is not there, or not whole. Before that, and in every process, the handler must not be used. */
  readonly prepare: () => Promise<void>;
}

export interface DispatchInput extends LayerPlace {
  /** Folder of the toolbox's root file system, in the cache, and the digest of its making. */
  readonly toolbox: { readonly root: string; readonly id: string; readonly versions: ReadonlyMap<string, string> };
  /** What will be installed in the target. */
  readonly packages: readonly TargetPackage[];
  /** What a base image brings: its tree in the cache, and `name version architecture` of each of its packages. */
  readonly base?: { readonly root: string; readonly installed: readonly string[] };
  /** Folder of the project. */
  readonly project: string;
}

const SOURCES = ['dispatch.c', 'sha256.h', 'dispatch-home.py', 'dispatch.rules'];
/** Where the target sees it; the handler is compiled for this place. */
const HOME = '/run/.toolbox';
const TOLD = /^\/usr\/bin\/dpkg(-deb|-query|-split|-divert|-trigger)?$/;

/** A rebuild without a change of source (1.2-3+b1) is the same program for another CPU: the suffix says no more than that. */
const sourceVersion = (version: string): string => version.replace(/\+b[0-9]+$/, '');

/**
 * The handler, its table and its helpers for one toolbox and one list of packages, made once and cached; `prepare` does that.
 * Only programs of packages that target and toolbox have in the same version get into the table.
 */
export function openDispatch(input: DispatchInput): Dispatch {
  const native = join(input.project, 'native');
  const same = input.packages.filter(
    ({ name, version }) => sourceVersion(input.toolbox.versions.get(name) ?? '') === sourceVersion(version),
  );
  const brought = (input.base?.installed ?? []).filter((line) => {
    const [name = '', version = '', architecture = ''] = line.split(' ');
    return architecture === 'arm64' && sourceVersion(input.toolbox.versions.get(name) ?? '') === sourceVersion(version);
  });
  const inputs = {
    ...(input.base === undefined
      ? {}
      : { base: basename(dirname(input.base.root)), brought: sha256(brought.join('\n')) }),
    toolbox: input.toolbox.id,
    native: Object.fromEntries(SOURCES.map((name) => [name, sha256(readFileSync(join(native, name)))])),
    packages: Object.fromEntries(same.map((one) => [one.name, `${one.version} ${one.sha256}`])),
  };
  const id = keyOf(inputs);
  const parent = input.cache.toolboxes;
  const home = join(layerFolder(parent, 'dispatch', id), 'fs');
  return {
    id,
    emulator: join(home, 'dispatch'),
    mounts: [
      { kind: 'bind', source: home, target: HOME },
      { kind: 'stack', lower: [input.toolbox.root], target: `${HOME}/root` },
    ],
    prepare: async () => {
      await openLayer(input, {
        name: 'dispatch',
        inputs,
        parent,
        make: (aside) => make(input, same, brought, join(aside, 'fs')),
      });
    },
  };
}

async function make(
  input: DispatchInput,
  packages: readonly TargetPackage[],
  brought: readonly string[],
  home: string,
): Promise<void> {
  const lines = [
    ...packages.map(({ file }) => `/packages/${file.slice(input.cache.packages.length + 1)}\n`),
    ...brought.map((line) => `${line.split(' ')[0]}\n`),
  ];
  await input.namespace.run(['python3', '/native/dispatch-home.py', '/out'], {
    root: { kind: 'stack', lower: [input.toolbox.root], discard: true },
    mounts: [
      { kind: 'bind', source: join(input.project, 'native'), target: '/native' },
      { kind: 'bind', source: input.cache.packages, target: '/packages' },
      { kind: 'bind', source: home, target: '/out', write: true },
      ...(input.base === undefined ? [] : [{ kind: 'stack' as const, lower: [input.base.root], target: '/base' }]),
    ],
    input: lines.join(''),
  });
  for (const [name, text] of Object.entries(await makeTables(join(home, 'programs'), input))) {
    await writeFile(join(home, name), text);
    await chmod(join(home, name), 0o644);
  }
}

/** Applies the rules to the list of programs; a program that the toolbox lacks is left to emulation. */
async function makeTables(programs: string, input: DispatchInput): Promise<{ table: string; arguments: string }> {
  const file = 'native/dispatch.rules';
  const rules = parseRules(await readFile(join(input.project, file), 'utf8'), file);
  const lines = (await readFile(programs, 'utf8')).trim().split('\n');
  const table = lines
    .flatMap((line) => {
      const [size, digest, path = ''] = line.split(' ');
      const rule = ruleFor(path, rules);
      if (rule === 'never' || !existsSync(join(input.toolbox.root, path))) return [];
      return [`${size} ${digest} ${rule} ${copyOf(path)}\n`];
    })
    .sort()
    .join('');
  const allowed = rules.arguments.map(({ path, pattern }) => `${copyOf(path)}\t${pattern}\n`).join('');
  return { table, arguments: allowed };
}

/** Where the toolbox's copy of a program is, below HOME. */
const copyOf = (path: string): string => `${TOLD.test(path) ? 'patched' : 'root'}${path}`;
