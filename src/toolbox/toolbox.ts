import { join } from 'node:path';
import type { Mirrors } from '../engine/archive.ts';
import { download } from '../engine/download.ts';
import {
  type HostArchitecture,
  type Lock,
  type LockedSet,
  lockDigest,
  packageInputs,
  type ToolboxName,
} from '../engine/lock.ts';
import { makeRepository } from '../engine/repository.ts';
import { newFolder, removeTree } from '../host/folders.ts';
import { type Inputs, keyOf } from '../host/inputs.ts';
import { type LayerPlace, layerFolder, openLayer } from '../host/layer.ts';
import type { Mount, NamespaceOptions } from '../host/namespace.ts';
import type { RunResult } from '../host/runner.ts';

/** A root file system of the host's CPU with every program that a build, or a boot, needs. */
export interface Toolbox {
  readonly name: ToolboxName;
  /** Digest of the packages it was made of. */
  readonly id: string;
  /** Its folder in the cache. */
  readonly root: string;
  /** Package name to version. */
  readonly versions: ReadonlyMap<string, string>;
  /** Runs a program in it; nothing that it changes in the toolbox itself is kept. */
  run(argv: readonly string[], options?: Omit<NamespaceOptions, 'root'>): Promise<RunResult>;
}

export const hostArchitecture = (): HostArchitecture => (process.arch === 'arm64' ? 'arm64' : 'amd64');

export interface ToolboxInput extends LayerPlace {
  readonly lock: Lock;
  readonly mirrors: () => Promise<Mirrors>;
}

const inputsOf = (set: LockedSet): Inputs => ({ packages: packageInputs(set.packages) });

/** Where a toolbox is, or would be; nothing is made or looked at. */
export function toolboxFolder(name: ToolboxName, { cache, lock }: Pick<ToolboxInput, 'cache' | 'lock'>): string {
  return layerFolder(cache.toolboxes, name, keyOf(inputsOf(lock.toolboxes[hostArchitecture()][name])));
}

/** The toolbox of that name, from the cache or bootstrapped now (about a minute). */
export async function openToolbox(name: ToolboxName, input: ToolboxInput): Promise<Toolbox> {
  const set = input.lock.toolboxes[hostArchitecture()][name];
  await openLayer(input, {
    name,
    inputs: inputsOf(set),
    parent: input.cache.toolboxes,
    make: (aside) => bootstrap(name, input, aside),
  });
  return describeToolbox(name, input);
}

/** A toolbox that is there already, or will be when it is first used. */
export function describeToolbox(name: ToolboxName, input: ToolboxInput): Toolbox {
  const set = input.lock.toolboxes[hostArchitecture()][name];
  const root = join(toolboxFolder(name, input), 'fs');
  return {
    name,
    id: lockDigest(set),
    root,
    versions: new Map(set.packages.map((one) => [one.name, one.version])),
    run: (argv, options = {}) =>
      input.namespace.run(argv, { ...options, root: { kind: 'stack', lower: [root], discard: true } }),
  };
}

/** mmdebstrap's options for a tree of exactly what the archive at /repository holds. */
export const bootstrapCommand = (
  target: string,
  architecture: HostArchitecture,
  include: readonly string[],
): string[] => [
  'mmdebstrap',
  '--verbose',
  '--mode=root',
  '--variant=apt',
  `--architectures=${architecture}`,
  '--aptopt=APT::Install-Recommends "false"',
  '--aptopt=APT::Sandbox::User "root"',
  '--aptopt=Acquire::Languages "none"',
  '--dpkgopt=force-unsafe-io',
  // The folder is a mount point and so cannot be made by mmdebstrap; it holds nothing else.
  '--skip=check/empty',
  // How programs for another CPU run is decided in src/host/arm64.ts.
  '--skip=check/qemu',
  // What runs arm64 programs is mounted there while it works.
  '--skip=cleanup/run',
  `--include=${include.join(',')}`,
  'trixie',
  target,
  'deb [trusted=yes] copy:///tmp/repository ./',
];

async function bootstrap(name: ToolboxName, input: ToolboxInput, aside: string): Promise<void> {
  const { cache, namespace, lock, log, signal } = input;
  const architecture = hostArchitecture();
  const set = lock.toolboxes[architecture][name];
  await download(cache, set.packages, input.mirrors, log, signal);
  const repository = await newFolder(cache, `repository-${name}`);
  try {
    await makeRepository(cache, namespace, set.packages, join(repository, 'fs'));
    const mounts: Mount[] = [
      { kind: 'bind', source: join(repository, 'fs'), target: '/tmp/repository' },
      { kind: 'stack', lower: [], upper: aside, target: '/tmp/image' },
    ];
    await namespace.run(bootstrapCommand('/tmp/image', architecture, set.requested), {
      root: { kind: 'host' },
      mounts,
      env: { TMPDIR: '/tmp' },
      onOutput: (text) => log({ kind: 'output', text }),
      ...(signal === undefined ? {} : { signal }),
    });
  } finally {
    await removeTree(cache, namespace, repository);
  }
}
