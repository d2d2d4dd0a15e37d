import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadConfig } from '../../src/config/load.ts';
import type { PlannedCheck } from '../../src/core/check.ts';
import type { Log } from '../../src/core/log.ts';
import type { Plan } from '../../src/core/plan.ts';
import { build } from '../../src/engine/build.ts';
import { makePlan } from '../../src/plan/plan.ts';
import { stages } from '../../stages/index.ts';

const project = fileURLToPath(new URL('../..', import.meta.url));

export interface BuiltImage {
  readonly image: string;
  readonly plan: Plan;
  readonly checks: readonly PlannedCheck[];
}

let once: Promise<BuiltImage> | undefined;

/**
 * The image of the default configuration, really built; one for all tests and runs, as long as nothing changed that it is
 * made of.
 */
export function builtImage(): Promise<BuiltImage> {
  once ??= builtVariant(join(project, 'config', 'amslpr.yaml'), 'test-image');
  return once;
}

/** The image of another configuration with the default one's packages, in a folder of its own below work/. */
export async function builtVariant(config: string, folder: string): Promise<BuiltImage> {
  const out = join(project, 'work', folder);
  const plan = makePlan(loadConfig(config, stages), stages, project);
  const image = join(out, `${plan.name}.img`);
  await build(plan, { out, lockFile: join(project, 'config', 'amslpr.lock.yaml'), project }, print);
  return { image, plan, checks: plan.checks };
}

const print: Log = (entry) => {
  if (entry.kind === 'step-start') process.stderr.write(`building the test image: ${entry.step}\n`);
};
