import { loadavg } from 'node:os';

/** Seconds of each round, their median, and how far the rounds lie apart, as a part of the median. */
export interface Timing {
  readonly seconds: readonly number[];
  readonly median: number;
  readonly spread: number;
}

export function timing(seconds: readonly number[]): Timing {
  const sorted = [...seconds].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  const median = sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
  const [least = Number.NaN, most = Number.NaN] = [sorted[0], sorted.at(-1)];
  return { seconds, median, spread: (most - least) / median };
}

/** The value that `part` (0.9, say) of the values do not exceed. */
export const percentile = (values: readonly number[], part: number): number =>
  [...values].sort((a, b) => a - b)[Math.ceil(values.length * part) - 1] ?? Number.NaN;

export async function seconds(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}

/** One way to do the work of a row. Its time is what it returns, or what it takes. */
export type Arm = () => Promise<number | undefined>;

/** Runs all arms `rounds` times, one round after the other, so that a slow minute of the host meets all of them. */
export async function alternate(
  arms: Readonly<Record<string, Arm>>,
  rounds: number,
  tell: (text: string) => void,
): Promise<Record<string, Timing>> {
  const taken: Record<string, number[]> = {};
  for (let round = 0; round < rounds; round += 1) {
    for (const [name, arm] of Object.entries(arms)) {
      let own: number | undefined;
      const all = await seconds(async () => {
        own = await arm();
      });
      taken[name] = [...(taken[name] ?? []), own ?? all];
      const [load = 0] = loadavg();
      tell(`  round ${round + 1}, ${name}: ${(own ?? all).toFixed(2)} s (load ${load.toFixed(1)})`);
    }
  }
  return Object.fromEntries(Object.entries(taken).map(([name, list]) => [name, timing(list)]));
}
