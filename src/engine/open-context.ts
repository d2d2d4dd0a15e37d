import type { Log } from '../core/log.ts';
import type { Plan } from '../core/plan.ts';
import { refuseNone } from '../host/arm64.ts';
import { arm64Here } from '../host/arm64-here.ts';
import { openCache } from '../host/cache.ts';
import type { LayerPlace } from '../host/layer.ts';
import { openNamespace } from '../host/namespace.ts';
import { describeToolbox, openToolbox } from '../toolbox/toolbox.ts';
import { findMirrors, type Mirrors } from './archive.ts';
import { openArm64 } from './arm64-programs.ts';
import { baseFolder, openBase } from './base/layer.ts';
import type { BuildContext } from './context.ts';
import { download, packageFile } from './download.ts';
import { type Lock, sourceDateEpoch } from './lock.ts';
import { makeStep, type Step } from './step.ts';
import { isLocal } from './steps/apt-sources.ts';

export interface ContextOptions extends Pick<LayerPlace, 'held'> {
  /** Folder of the project. */
  readonly project: string;
  readonly release?: boolean;
  readonly noDispatch?: boolean;
  readonly signal?: AbortSignal;
}

/** Everything that the steps need. Nothing is fetched or made before one of them needs it. */
export async function openContext(
  plan: Plan,
  lock: Lock,
  options: ContextOptions,
  log: Log,
  step: Step = makeStep(log, options.signal),
): Promise<BuildContext> {
  const cache = await openCache();
  const namespace = await openNamespace(cache);
  const how = await arm64Here(namespace, { dispatch: options.noDispatch !== true });
  refuseNone(how);
  const { project, signal, held, release = false } = options;
  const mirrors = async (): Promise<Mirrors> => ({ ...lock.base?.archives, ...(await findMirrors(plan.base.mirror)) });
  const local = Object.entries(await mirrors()).filter(([, url]) => isLocal(url));
  if (
    local.some(([name]) =>
      plan.base.kind === 'debian' ? name === 'debian' : plan.base.mirror !== undefined || name !== 'debian',
    )
  ) {
    log({
      kind: 'warning',
      text: 'The image will look for updates where this build took its packages from, which only this host can reach.',
    });
  }
  const place = {
    cache,
    namespace,
    log,
    hashes: release,
    whole: new Set<string>(),
    ...(held === undefined ? {} : { held }),
  };
  const input = { ...place, lock, mirrors, ...(signal === undefined ? {} : { signal }) };
  const toolbox = describeToolbox('build', input);
  const packages = lock.image.packages
    .filter((one) => one.architecture !== 'all')
    .map((one) => ({ ...one, file: packageFile(cache, one) }));
  const base =
    lock.base === undefined ? undefined : { root: baseFolder(cache, lock.base), installed: lock.base.installed };
  const arm64 = openArm64(how, { ...input, toolbox, packages, project, ...(base === undefined ? {} : { base }) });
  let prepared: Promise<void> | undefined;
  const prepare = async (): Promise<void> => {
    await openToolbox('build', input);
    if (lock.base !== undefined) await openBase({ ...input, image: plan.name, toolbox }, plan.base, lock.base);
    await download(cache, lock.image.packages, mirrors, log, signal);
    await arm64.prepare?.();
  };
  return {
    ...{ ...input, plan, project, toolbox, image: plan.name, epoch: sourceDateEpoch(lock), arm64 },
    prepare: () => {
      prepared ??= step('toolbox', prepare);
      return prepared;
    },
  };
}
