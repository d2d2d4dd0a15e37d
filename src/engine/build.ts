import { randomUUID } from 'node:crypto';
import { dirname, join } from 'node:path';
import { auditImage, jsonReport, junitReport, textReport } from '../audit/report.ts';
import { toolboxTools } from '../audit/tools.ts';
import { UserError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { Plan } from '../core/plan.ts';
import { openCache } from '../host/cache.ts';
import { newFolder, removeTree } from '../host/layer.ts';
import { openNamespace } from '../host/namespace.ts';
import { openDispatch } from '../toolbox/dispatch.ts';
import { openToolbox } from '../toolbox/toolbox.ts';
import { findMirrors } from './archive.ts';
import { keepLog } from './build-log.ts';
import { makeCompanions } from './companions.ts';
import type { BuildContext } from './context.ts';
import { type Delivered, deliver } from './deliver.ts';
import { download, packageFile } from './download.ts';
import { buildLayers } from './layers.ts';
import { type Lock, sourceDateEpoch } from './lock.ts';
import { type LockOptions, openLock } from './lock-file.ts';
import { makeStep } from './step.ts';
import { isLocal } from './steps/apt-sources.ts';
import { writeImage } from './steps/image.ts';

export interface BuildOptions extends LockOptions {
  /** Folder that the image and its companions appear in, when they are complete. */
  readonly out: string;
  /** Folder of the project. */
  readonly project: string;
  /** Compress with xz too. */
  readonly release?: boolean;
  /** Emulate every program of the image. */
  readonly noDispatch?: boolean;
  /** Use no cached layer, and keep none: everything but packages and toolbox is made anew. */
  readonly fresh?: boolean;
}

export interface BuildResult extends Delivered {
  /** Offline checks that the finished image failed; the report beside the image says which and why. */
  readonly failedChecks: number;
}

/** Builds the image of a plan from its lock. Nothing appears in `out` unless everything is complete. */
export async function build(plan: Plan, options: BuildOptions, tell: Log): Promise<BuildResult> {
  if (plan.base.kind !== 'debian') {
    throw new UserError({
      message: `The base ${plan.base.kind} cannot be built yet`,
      hint: 'Set base.kind to debian.',
    });
  }
  const cache = await openCache();
  const kept = await keepLog(cache, plan.name, tell);
  const step = makeStep(kept.log, options.signal);
  const { name } = plan;
  try {
    const lock = await step('lock', () => openLock(plan, options, kept.log));
    const context = await step('toolbox', () => openContext(plan, lock, options, kept.log));
    const layers = await buildLayers(context, step, options.fresh === true ? randomUUID() : undefined);
    const folder = await newFolder(cache, 'image');
    try {
      const image = await step('image', () => writeImage(context, layers, folder));
      const tools = await toolboxTools(context.toolbox);
      const signal = options.signal === undefined ? {} : { signal: options.signal };
      const report = {
        ...(await auditImage(image, plan.checks, kept.log, { tools, ...signal })),
        image: `${name}.img`,
      };
      const names = await step('companions', () => makeCompanions(context, layers, folder, options.release === true));
      const texts = {
        [`${name}.audit.txt`]: textReport(report),
        [`${name}.audit.json`]: jsonReport(report),
        [`${name}.audit.xml`]: junitReport(report),
        [`${name}.build.log`]: await kept.text(),
      };
      const delivered = await step('output', () => deliver(plan, join(folder, 'fs'), names, texts, options.out));
      await kept.drop();
      return { ...delivered, failedChecks: report.failed };
    } finally {
      const layerFolders = options.fresh === true ? layers.map(({ fs }) => dirname(fs)) : [];
      for (const path of [folder, ...layerFolders]) await removeTree(cache, context.namespace, path);
    }
  } catch (error) {
    if (options.signal?.aborted !== true) tell({ kind: 'notice', text: `The log of this build: ${kept.file}` });
    throw error;
  } finally {
    await kept.close();
  }
}

/** Everything that the steps need, with the toolbox made and all packages in the cache. */
export async function openContext(plan: Plan, lock: Lock, options: BuildOptions, log: Log): Promise<BuildContext> {
  const cache = await openCache();
  const namespace = await openNamespace(cache);
  const mirror = plan.base.kind === 'debian' ? plan.base.mirror : undefined;
  const mirrors = () => findMirrors(mirror);
  if (isLocal((await mirrors()).debian)) {
    log({
      kind: 'warning',
      text: 'The image will look for updates where this build took its packages from, which only this host can reach.',
    });
  }
  const signal = options.signal === undefined ? {} : { signal: options.signal };
  const toolbox = await openToolbox('build', { cache, namespace, lock, mirrors, log, ...signal });
  await download(cache, lock.image.packages, mirrors, log, options.signal);
  const emulated = { emulator: join(toolbox.root, 'usr/bin/qemu-aarch64'), mounts: [], id: 'emulated' };
  const packages = lock.image.packages
    .filter((one) => one.architecture !== 'all')
    .map((one) => ({ ...one, file: packageFile(cache, one) }));
  const dispatched = options.noDispatch !== true && process.arch === 'x64';
  const arm64 = dispatched
    ? await openDispatch({ namespace, cache, toolbox, packages, project: options.project })
    : emulated;
  return { plan, lock, epoch: sourceDateEpoch(lock), cache, namespace, toolbox, arm64, mirrors, log, ...signal };
}
