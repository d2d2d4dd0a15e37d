import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadConfig } from '../../src/config/load.ts';
import type { PlannedCheck } from '../../src/core/check.ts';
import type { Log } from '../../src/core/log.ts';
import type { Plan } from '../../src/core/plan.ts';
import { build } from '../../src/engine/build.ts';
import { sha256File } from '../../src/host/sha256.ts';
import { makePlan } from '../../src/plan/plan.ts';
import { stages } from '../../stages/index.ts';

const project = fileURLToPath(new URL('../..', import.meta.url));
const out = join(project, 'work', 'test-image');

export interface BuiltImage {
  readonly image: string;
  readonly plan: Plan;
  readonly checks: readonly PlannedCheck[];
}

let once: Promise<BuiltImage> | undefined;

/**
 * The image of the default configuration, really built; one for all tests. It is built again when the plan is another
 * one; after a change of the engine alone, remove work/test-image.
 */
export function builtImage(): Promise<BuiltImage> {
  once ??= make();
  return once;
}

async function make(): Promise<BuiltImage> {
  const config = join(project, 'config', 'amslpr.yaml');
  const plan = makePlan(loadConfig(config, stages), stages, project);
  const image = join(out, `${plan.name}.img`);
  if ((await builtDigest(plan.name)) !== plan.digest) {
    await build(plan, { out, lockFile: join(project, 'config', 'amslpr.lock.yaml'), project }, print);
  }
  return { image, plan, checks: plan.checks };
}

/** Digest of the plan that the image in the folder was built from; none when the image is not the one of that build. */
async function builtDigest(name: string): Promise<string | undefined> {
  const read = (file: string) => readFile(join(out, `${name}.${file}`), 'utf8').catch(() => '');
  const [sums, text] = [await read('SHA256SUMS'), await read('plan.json')];
  const digest = await sha256File(join(out, `${name}.img`)).catch(() => undefined);
  if (digest === undefined || text === '' || !sums.includes(`${digest}  ${name}.img\n`)) return undefined;
  const plan: unknown = JSON.parse(text);
  return typeof plan === 'object' && plan !== null && 'digest' in plan ? String(plan.digest) : undefined;
}

const print: Log = (entry) => {
  if (entry.kind === 'step-start') process.stderr.write(`building the test image: ${entry.step}\n`);
};
