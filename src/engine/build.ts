import { randomUUID } from 'node:crypto';
import { dirname, join } from 'node:path';
import { type AuditReport, auditImage, jsonReport, junitReport, textReport } from '../audit/report.ts';
import { toolboxTools } from '../audit/tools.ts';
import type { Log } from '../core/log.ts';
import type { Plan } from '../core/plan.ts';
import { openCache } from '../host/cache.ts';
import type { Held } from '../host/flock.ts';
import { newFolder, removeTree, sweep } from '../host/folders.ts';
import { checkWritable } from '../host/writable.ts';
import { digestOf } from '../plan/digest.ts';
import { type KeptLog, keepLog } from './build-log.ts';
import { codeDigest, readBuilt, writeBuilt } from './built.ts';
import { makeCompanions, sumImage } from './companions.ts';
import type { BuildContext } from './context.ts';
import { type Delivered, deliver, sweepOutput } from './deliver.ts';
import { buildLayers } from './layers.ts';
import { type LockOptions, openLock } from './lock-file.ts';
import { openContext } from './open-context.ts';
import { makeStep, type Step } from './step.ts';
import { writeImage } from './steps/image.ts';

export interface BuildOptions extends LockOptions {
  /** Folder that the image and its companions appear in, when they are complete. */
  readonly out: string;
  /** Compress with xz too, check what is cached by its content, and make the image in any case. */
  readonly release?: boolean;
  /** Emulate every program of the image. */
  readonly noDispatch?: boolean;
  /** Use no cached layer, and keep none: everything but packages and toolbox is made anew. */
  readonly fresh?: boolean;
  /** Make the .img.zst. Default true. */
  readonly compress?: boolean;
}

export interface BuildResult extends Delivered {
  /** Offline checks that the finished image failed; the report beside the image says which and why. */
  readonly failedChecks: number;
}

/** Builds the image of a plan from its lock. Nothing appears in `out` unless everything is complete. */
export async function build(plan: Plan, options: BuildOptions, tell: Log): Promise<BuildResult> {
  await checkWritable(options.out);
  const cache = await openCache();
  const kept = await keepLog(cache, plan.name, tell);
  const step = makeStep(kept.log, options.signal);
  const held = new Map<string, Held>();
  try {
    const lock = await step('lock', () => openLock(plan, options, kept.log));
    const context = await openContext(plan, lock, { ...options, held }, kept.log, step);
    const result = await makeImage(context, options, step, kept);
    await kept.drop();
    return result;
  } catch (error) {
    if (options.signal?.aborted !== true) tell({ kind: 'notice', text: `The log of this build: ${kept.file}` });
    throw error;
  } finally {
    for (const lock of held.values()) lock.release();
    await kept.close();
  }
}

/** From layers to files in the output folder, unless those of an earlier build are what this one would make. */
async function makeImage(
  context: BuildContext,
  options: BuildOptions,
  step: Step,
  { text: logText }: KeptLog,
): Promise<BuildResult> {
  const { plan, cache, namespace, log } = context;
  const { out, fresh = false, release = false, compress = true } = options;
  await sweep(cache, namespace);
  await sweepOutput(cache, plan.name, out);
  const layers = await buildLayers(context, step, fresh ? randomUUID() : undefined);
  const keys = layers.map(({ key }) => key);
  const key = digestOf([keys, plan.digest, { release, compress }, codeDigest(context.project)]);
  const before = release ? undefined : await readBuilt(cache, out, plan.name, key);
  if (before !== undefined) {
    log({ kind: 'notice', text: 'Nothing has changed since the last build.' });
    return before;
  }
  const folder = await newFolder(cache, 'image');
  try {
    await step('image', () => writeImage(context, layers, folder));
    const image = `${plan.name}.img`;
    const sums = new Map([[image, await step('checksums', () => sumImage(context, folder))]]);
    const [report, names] = await together(
      auditBuilt(context, join(folder, 'fs', image)),
      step('companions', () => makeCompanions(context, layers, folder, { release, compress })),
    );
    const texts = { ...reportFiles(plan.name, report), [`${plan.name}.build.log`]: await logText() };
    const parcel = { folder: join(folder, 'fs'), names, texts, sums };
    const delivered = await step('output', () => deliver(cache, plan, parcel, out));
    const result = { ...delivered, failedChecks: report.failed };
    if (!fresh) await writeBuilt(cache, out, plan.name, { ...result, key });
    return result;
  } finally {
    const layerFolders = fresh ? layers.map(({ fs }) => dirname(fs)) : [];
    for (const path of [folder, ...layerFolders]) await removeTree(cache, namespace, path);
  }
}

/** Both results; when one fails, the other has ended too, so that nothing is left at work. */
async function together<A, B>(first: Promise<A>, second: Promise<B>): Promise<[A, B]> {
  await Promise.allSettled([first, second]);
  return [await first, await second];
}

async function auditBuilt(context: BuildContext, image: string): Promise<AuditReport> {
  const { plan, log, signal } = context;
  const tools = await toolboxTools(context.toolbox);
  const report = await auditImage(image, plan.checks, log, { tools, ...(signal === undefined ? {} : { signal }) });
  return { ...report, image: `${plan.name}.img` };
}

const reportFiles = (name: string, report: AuditReport): Record<string, string> => ({
  [`${name}.audit.txt`]: textReport(report),
  [`${name}.audit.json`]: jsonReport(report),
  [`${name}.audit.xml`]: junitReport(report),
});
