import { names, stepsOf } from './marks.ts';
import { generator, type Point } from './points.ts';
import type { Recording } from './record.ts';
import type { Try } from './try-points.ts';
import type { Logged } from './write-log.ts';

export interface Wanted {
  /** At most so many flushes, spread over all steps; all without it. */
  readonly sample?: number;
  /** Random choices of unflushed sectors, as a share of the flushes: 1 is one for each. */
  readonly subsets: number;
  /** Points that run the image as it is, spread over all steps. */
  readonly whole: number;
  readonly seed: string;
  /** Only points within these steps. */
  readonly steps?: readonly string[];
}

/** Rounds of about so many points: each goes once through the whole first boot. */
const ROUND = 24;

/**
 * What to try, in an order whose beginning is already spread over all steps: the first and last flush of each step, then
 * rounds from the first flush to the last, with the random subsets between them.
 */
export function choose(log: readonly Logged[], recording: Pick<Recording, 'marks' | 'states'>, wanted: Wanted): Try[] {
  const ends = log.filter(({ entry }) => entry.kind === 'flush').map(({ end }) => end);
  const steps = ['start', ...ends.map(stepsOf(recording.marks, log))];
  const edges = steps.flatMap((step, flush): Point[] =>
    step !== steps[flush - 1] || step !== steps[flush + 1] ? [{ flush }] : [],
  );
  const next = generator(`${wanted.seed}/order`);
  const subsets = Array.from(
    { length: Math.round(steps.length * wanted.subsets) },
    (_, number): Point => ({
      flush: number % steps.length,
      subset: Math.floor(number / steps.length),
    }),
  );
  const every: Point[] = [...steps.map((_, flush) => ({ flush })), ...subsets].sort((a, b) => a.flush - b.flush);
  const stride = Math.max(1, Math.ceil(every.length / ROUND));
  const starts = Array.from({ length: stride }, (_, start) => ({ start, order: next() }));
  const rounds = starts
    .sort((a, b) => a.order - b.order)
    .flatMap(({ start }) => every.filter((_, at) => at % stride === start));
  const ordered = [...edges, ...rounds].filter(
    (point, at, all) => all.findIndex((one) => one.flush === point.flush && one.subset === point.subset) === at,
  );
  const within = ordered.filter(({ flush }) => wanted.steps?.some((step) => names(steps[flush] ?? '', step)) ?? true);
  const some = wanted.sample === undefined ? within : sample(within, wanted.sample, steps);
  const whole = wholeOf(steps, recording.states, wanted.whole);
  const isWhole = ({ flush, subset }: Point): boolean =>
    subset === undefined && whole.some((point) => point.flush === flush);
  // What the image as it is does, nobody needs to try again with units masked.
  const missing = whole.filter(({ flush }) => !some.some((one) => one.subset === undefined && one.flush === flush));
  return [...some, ...missing].map((point) => ({ point, whole: isWhole(point) }));
}

/** About `count` flushes that leave different cards, evenly chosen, and one at least of each step. */
function wholeOf(steps: readonly string[], states: readonly string[], count: number): Point[] {
  if (count === 0) return [];
  const points = steps
    .map((_, flush) => ({ flush }))
    .filter(({ flush }) => states.indexOf(states[flush] ?? '') === flush);
  const even = spread(points, count);
  const missed = [...new Set(steps)].filter((step) => !even.some(({ flush }) => steps[flush] === step));
  const first = (step: string): Point =>
    // All of its flushes may leave cards that an earlier step has left too.
    points.find(({ flush }) => steps[flush] === step) ?? { flush: steps.indexOf(step) };
  return [...even, ...missed.map(first)];
}

/** `count` of them: as many of each step as of every other, while there are some; of fewer steps when there are more. */
function sample(points: readonly Point[], count: number, steps: readonly string[]): Point[] {
  const all = [...new Set(steps)].map((step) => points.filter(({ flush }) => steps[flush] === step));
  const groups = all.filter(({ length }) => length > 0);
  if (count < groups.length) {
    return spread(groups, count).flatMap((group, at) => group[at % group.length] ?? []);
  }
  const rounds = Array.from({ length: points.length }, (_, round) => groups.flatMap((group) => group[round] ?? []));
  return rounds.flat().slice(0, count);
}

/** `count` of them, evenly chosen. */
function spread<T>(list: readonly T[], count: number): T[] {
  if (count >= list.length) return [...list];
  const step = list.length / count;
  const chosen = new Set(Array.from({ length: count }, (_, at) => Math.floor((at + 0.5) * step)));
  return list.filter((_, at) => chosen.has(at));
}
