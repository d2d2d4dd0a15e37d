import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadConfig } from '../../src/config/load.ts';
import type { Log } from '../../src/core/log.ts';
import type { Plan } from '../../src/core/plan.ts';
import { type BuildResult, build } from '../../src/engine/build.ts';
import { type Lock, parseLock } from '../../src/engine/lock.ts';
import { sha256 } from '../../src/plan/digest.ts';
import { makePlan } from '../../src/plan/plan.ts';
import { stages } from '../../stages/index.ts';
import { makeStandIn, type StandIn, type StandInOptions } from '../../standin/raspios/make.ts';

const project = fileURLToPath(new URL('../..', import.meta.url));

export interface RaspiosImage extends StandIn {
  readonly plan: Plan;
  readonly result: BuildResult;
  readonly lock: Lock;
  readonly lockFile: string;
}

/** A digest of what the stand-in is made from: it is made again when that changes. */
function recipe(options: StandInOptions): string {
  const folder = join(project, 'standin/raspios');
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  return sha256(
    `${JSON.stringify(options)}\n${files.map((file) => `${file} ${sha256(readFileSync(file))}\n`).join('')}`,
  );
}

/** The stand-in, made now or by an earlier run, in work/test-raspios. */
export async function standIn(name: string, options: StandInOptions = {}): Promise<StandIn> {
  const out = join(project, 'work', 'test-raspios', name);
  const known = join(out, 'recipe');
  const digest = recipe(options);
  const made = { image: join(out, 'raspios.img'), archive: join(out, 'archive') };
  const whole = await stat(made.image).then(
    ({ size }) => size > 0,
    () => false,
  );
  if (whole && (await readFile(known, 'utf8').catch(() => '')) === digest) return made;
  const result = await makeStandIn(out, options, print);
  await writeFile(known, digest);
  return result;
}

/** The default configuration on the stand-in, locked and built. */
export async function raspiosImage(name: string, options: StandInOptions = {}): Promise<RaspiosImage> {
  const made = await standIn(name, options);
  const out = join(project, 'work', 'test-raspios', name, 'out');
  await mkdir(out, { recursive: true });
  const config = join(out, `${name}.yaml`);
  await writeFile(config, `name: ${name}\nbase:\n  kind: raspios\n  image: ${made.image}\n`);
  const plan = makePlan(loadConfig(config, stages), stages, project);
  const lockFile = join(out, `lock-${(await recipeOf(out, options)).slice(0, 16)}.yaml`);
  const result = await build(plan, { out, lockFile, project, compress: false }, print);
  return { ...made, plan, result, lockFile, lock: parseLock(await readFile(lockFile, 'utf8'), lockFile) };
}

/** A new lock for each stand-in and each list of packages. */
async function recipeOf(out: string, options: StandInOptions): Promise<string> {
  const plan = makePlan(loadConfig(join(project, 'config/amslpr.yaml'), stages), stages, project);
  return sha256(`${recipe(options)} ${out} ${plan.packages.join(' ')} ${plan.purge.join(' ')}`);
}

const print: Log = (entry) => {
  if (entry.kind === 'step-start') process.stderr.write(`the image on the stand-in: ${entry.step}\n`);
};
