import { runCard } from './machine.ts';
import { AFTER, addMarks, type Mark } from './marks.ts';
import { baseOf } from './record.ts';
import type { Bench } from './try-points.ts';

/** When a new card's steps begin and when it is ready, in seconds since power on. */
export interface Pace {
  readonly marks: readonly Mark[];
  readonly ready: number;
}

/** Seconds before the first step and after ready within which a cut still counts as one of the first boot. */
const [EARLY, LATE] = [5, 10];

/**
 * Lets a new card become ready as chains start it. The recording is no measure: it masks nothing, and was made while the
 * host had other work. Each run asks anew, since how many guests run beside it changes.
 */
export async function measurePace({ recording, folder, cpus }: Bench, place: string): Promise<Pace> {
  const marks: Mark[] = [];
  const { state, seconds, console } = await runCard({
    ...{ firmware: recording.firmware, card: baseOf(folder), folder: place, whole: false, cpus, settle: 0 },
    ...{ patience: 900, watch: (seen) => addMarks(marks, seen) },
  });
  if (state !== 'ready') throw new Error(`a card without a cut ended as ${state}:\n${console.slice(-2000)}`);
  return { marks, ready: seconds };
}

/**
 * When to cut the next boot of a card whose earlier boots came as far as `phases`, by a number from 0 to 1: between five
 * seconds before the first step and ten after ready. What was done already is not done again, so that this boot is
 * shorter by that.
 */
export function momentIn({ marks, ready }: Pace, phases: readonly string[], random: number): number {
  const first = marks[0]?.seconds ?? 0;
  const begun = phases.map((phase) =>
    phase === AFTER ? ready : (marks.find(({ step }) => step === phase)?.seconds ?? first),
  );
  const left = ready - Math.max(first, ...begun);
  return Math.max(0, first - EARLY) + random * (Math.min(first, EARLY) + left + LATE);
}

/** When to cut a boot at any time of the whole of it. */
export const anyMoment = ({ ready }: Pace, random: number): number => random * (ready + LATE);
