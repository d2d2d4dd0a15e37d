import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { firstBootSteps } from '../../stages/first-boot/steps.ts';
import type { BreakName } from './breaks.ts';
import { tryChains } from './chains.ts';
import { stepsOf } from './marks.ts';
import { MASKED } from './masked.ts';
import { logOf, recording } from './record.ts';
import { type Report, report } from './report.ts';
import { workCuts } from './run-work.ts';
import { choose } from './select.ts';
import { allResults, type Bench, tryPoints } from './try-points.ts';
import type { WorkName } from './work.ts';
import { readWriteLog } from './write-log.ts';

export interface RunOptions {
  readonly image: string;
  readonly folder: string;
  readonly seed: string;
  readonly sample?: number;
  readonly subsets: number;
  readonly whole: number;
  readonly chains: number;
  /** This part, from 1, of so many. */
  readonly part: readonly [number, number];
  readonly minutes: number;
  readonly cpus: number;
  readonly broken?: BreakName;
  readonly steps?: readonly string[];
  /** Record the first boot with masked units too: quicker, and nothing for a full run. */
  readonly quick: boolean;
  /** Cut at this work of a ready device; the first boot otherwise. */
  readonly work?: WorkName;
  readonly log: (text: string) => void;
}

/** Records a first boot where that was not done, tries this part's points, and tells of the results of all parts. */
export async function powerCuts(options: RunOptions): Promise<Report> {
  const { image, folder, seed, part, log, cpus, broken, quick } = options;
  const until = Date.now() + options.minutes * 60_000;
  await mkdir(folder, { recursive: true });
  if (options.work !== undefined) return workCuts(options.work, options);
  log(`Seed: ${seed}`);
  log(`Masked in boots that are not marked as whole: ${MASKED.join(' ')}`);
  const recorded = await recording({ image, folder, whole: !quick, cpus, ...(broken ? { broken } : {}) });
  const writes = await readWriteLog(logOf(folder));
  const ends = writes.filter(({ entry }) => entry.kind === 'flush').map(({ end }) => end);
  const flushSteps = [0, ...ends].map(stepsOf(recorded.marks, writes));
  const together = [...new Set(flushSteps)].filter((step) => step.includes(', '));
  if (together.length > 0) log(`Steps that no flush parts, each with one line for them all: ${together.join('; ')}`);
  const unsaid = firstBootSteps.filter(({ name }) => !recorded.marks.some(({ step }) => step === name));
  if (unsaid.length > 0) log(`Steps with nothing to do: ${unsaid.map(({ name }) => name).join(', ')}`);
  const mine = (_: unknown, at: number): boolean => at % part[1] === part[0] - 1;
  const tries = choose(writes, recorded, options).filter(mine);
  log(`First boot: ready after ${recorded.seconds.toFixed(0)} s, ${flushSteps.length} flushes; ${tries.length} points`);
  const bench: Bench = {
    ...{ folder, recording: recorded, seed, cpus, log },
    results: join(folder, `results-${seed}-${part[0]}-of-${part[1]}.jsonl`),
    enough: () => Date.now() > until,
  };
  await tryPoints(bench, tries);
  await tryChains(bench, Array.from({ length: options.chains }, (_, at) => at + 1).filter(mine));
  return report(await allResults(folder, seed), recorded, flushSteps);
}
