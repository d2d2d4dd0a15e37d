import type { Log } from '../core/log.ts';
import type { Plan } from '../core/plan.ts';
import type { Cache } from '../host/cache.ts';
import type { Held } from '../host/flock.ts';
import type { Layer } from '../host/layer.ts';
import type { Mount, Namespace, Stack } from '../host/namespace.ts';
import type { Dispatch } from '../toolbox/dispatch.ts';
import type { Toolbox } from '../toolbox/toolbox.ts';
import type { Mirrors } from './archive.ts';
import type { Lock } from './lock.ts';

/** What every step of a build needs. */
export interface BuildContext {
  readonly plan: Plan;
  readonly lock: Lock;
  /** SOURCE_DATE_EPOCH: seconds since 1970 that no time in the image is later than. */
  readonly epoch: number;
  /** Folder of the project. */
  readonly project: string;
  readonly cache: Cache;
  readonly namespace: Namespace;
  readonly toolbox: Toolbox;
  readonly arm64: Arm64Programs;
  readonly mirrors: () => Promise<Mirrors>;
  readonly log: Log;
  /** Has packages, toolbox and handler at hand; to be awaited before any of them is used. Does its work once. */
  readonly prepare: () => Promise<void>;
  readonly signal?: AbortSignal;
  /** Name of the image; and how entries of the cache are checked and held: see LayerPlace. */
  readonly image: string;
  readonly hashes: boolean;
  readonly held?: Map<string, Held>;
  readonly whole: Set<string>;
}

/**
 * How programs of the image are run: the handler to register, if any, and what it needs mounted in the image's root.
 * `id` is part of the key of whatever is built with it.
 */
export type Arm64Programs = Pick<Dispatch, 'mounts' | 'id'> & { readonly emulator?: string };

/** Runs a shell script in the toolbox with layers mounted at /tmp/image; `upper` takes what changes. */
export async function inToolbox(
  context: BuildContext,
  script: string,
  stack: Stack,
  options: {
    readonly mounts?: readonly Mount[];
    readonly input?: string | Uint8Array;
    readonly args?: readonly string[];
  } = {},
): Promise<string> {
  const { toolbox, epoch, log, signal } = context;
  await context.prepare();
  const result = await toolbox.run(['sh', '-euc', script, 'sh', ...(options.args ?? [])], {
    mounts: [{ kind: 'stack', ...stack, target: '/tmp/image' }, ...(options.mounts ?? [])],
    env: { SOURCE_DATE_EPOCH: String(epoch) },
    unsynced: true,
    onOutput: (text) => log({ kind: 'output', text }),
    ...(options.input === undefined ? {} : { input: options.input }),
    ...(signal === undefined ? {} : { signal }),
  });
  return result.stdout;
}

/** Runs a program of the image, for arm64, with the layers as its root. */
export async function inImage(context: BuildContext, argv: readonly string[], stack: Stack): Promise<string> {
  const { namespace, arm64, epoch, log, signal } = context;
  await context.prepare();
  const result = await namespace.run(argv, {
    root: { kind: 'stack', ...stack },
    mounts: arm64.mounts,
    ...(arm64.emulator === undefined ? {} : { emulator: arm64.emulator }),
    unsynced: true,
    env: { SOURCE_DATE_EPOCH: String(epoch), DEBIAN_FRONTEND: 'noninteractive', DPKG_COLORS: 'never' },
    onOutput: (text) => log({ kind: 'output', text }),
    ...(signal === undefined ? {} : { signal }),
  });
  return result.stdout;
}

/** The stack of finished layers with a new upper folder on top. */
export const onTop = (layers: readonly Layer[], upper: string): Stack => ({
  lower: layers.map(({ fs }) => fs),
  upper,
});
