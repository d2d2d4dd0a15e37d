import { existsSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { Log } from '../core/log.ts';
import type { Mirrors } from '../engine/archive.ts';
import { download } from '../engine/download.ts';
import { type HostArchitecture, type Lock, lockDigest, type ToolboxName } from '../engine/lock.ts';
import { makeRepository } from '../engine/repository.ts';
import type { Cache } from '../host/cache.ts';
import { newFolder, removeTree } from '../host/layer.ts';
import type { Mount, Namespace, NamespaceOptions } from '../host/namespace.ts';
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

export interface ToolboxInput {
  readonly cache: Cache;
  readonly namespace: Namespace;
  readonly lock: Lock;
  readonly mirrors: () => Promise<Mirrors>;
  readonly log: Log;
  readonly signal?: AbortSignal;
}

/** The toolbox of that name, from the cache or bootstrapped now (about a minute). */
export async function openToolbox(name: ToolboxName, input: ToolboxInput): Promise<Toolbox> {
  const { cache, namespace, lock } = input;
  const set = lock.toolboxes[hostArchitecture()][name];
  const id = lockDigest(set);
  const folder = join(cache.toolboxes, `${name}-${id.slice(0, 32)}`);
  if (!existsSync(folder)) await bootstrap(name, input, folder);
  const root = join(folder, 'fs');
  return {
    name,
    id,
    root,
    versions: new Map(set.packages.map((one) => [one.name, one.version])),
    run: (argv, options = {}) =>
      namespace.run(argv, { ...options, root: { kind: 'stack', lower: [root], discard: true } }),
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

async function bootstrap(name: ToolboxName, input: ToolboxInput, folder: string): Promise<void> {
  const { cache, namespace, lock, log, signal } = input;
  const architecture = hostArchitecture();
  const set = lock.toolboxes[architecture][name];
  await download(cache, set.packages, input.mirrors, log, signal);
  const repository = await newFolder(cache, `repository-${name}`);
  const aside = await newFolder(cache, `toolbox-${name}`);
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
    await rename(aside, folder);
  } finally {
    await removeTree(cache, namespace, repository);
    if (existsSync(aside)) await removeTree(cache, namespace, aside);
  }
}
