import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadConfig } from '../src/config/load.ts';
import { silent } from '../src/core/log.ts';
import type { Plan } from '../src/core/plan.ts';
import type { BuildContext } from '../src/engine/context.ts';
import { parseLock } from '../src/engine/lock.ts';
import { openContext } from '../src/engine/open-context.ts';
import { newFolder, removeTree } from '../src/host/folders.ts';
import { makePlan } from '../src/plan/plan.ts';
import { stages } from '../stages/index.ts';

export const project = fileURLToPath(new URL('..', import.meta.url));
export const configFile = join(project, 'config', 'amslpr.yaml');
export const lockFile = join(project, 'config', 'amslpr.lock.yaml');

export const defaultPlan = (): Plan => makePlan(loadConfig(configFile, stages), stages, project);

/** Everything that a build of the default image needs, with the toolbox made and all packages there. */
export async function openBuild({ dispatch }: { readonly dispatch: boolean }): Promise<BuildContext> {
  const lock = parseLock(readFileSync(lockFile, 'utf8'), lockFile);
  const options = { out: join(project, 'out'), lockFile, project, noDispatch: !dispatch };
  const context = await openContext(defaultPlan(), lock, options, silent);
  await context.prepare();
  return context;
}

/** Runs `work` with a new folder of the cache, and removes it; removal is no part of any figure. */
export async function withFolder<T>(
  context: BuildContext,
  name: string,
  work: (folder: string) => Promise<T>,
): Promise<T> {
  const folder = await newFolder(context.cache, name);
  try {
    return await work(folder);
  } finally {
    await removeTree(context.cache, context.namespace, folder);
  }
}
