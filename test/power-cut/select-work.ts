import { epochs, generator, type Point } from './points.ts';
import type { Try } from './try-points.ts';
import type { Logged } from './write-log.ts';

/** A part of a card, in sectors. */
export interface Extent {
  readonly start: number;
  readonly sectors: number;
}

export interface WorkWanted {
  /** Bytes of the log where the work begins and where it ends. */
  readonly from: number;
  readonly to: number;
  /** Random subsets of each epoch. */
  readonly subsets: number;
  /** At most so many points are started, spread over the work; all without it. */
  readonly sample?: number;
  /** Points that mask nothing and let the work be finished. */
  readonly whole: number;
  readonly seed: string;
}

/** Numbers of the epochs of a work: what was written after the flush of that number. */
export function epochsOfWork(
  parts: readonly (readonly Logged[])[],
  { from, to }: Pick<WorkWanted, 'from' | 'to'>,
): number[] {
  return parts.flatMap((part, flush) => {
    const [begin, end] = [part[0]?.end ?? 0, part.at(-1)?.end ?? 0];
    return end > from && begin <= to ? [flush] : [];
  });
}

/** Whether a request is one that writes within a part of the card. */
export const writesWithin = ({ entry }: Logged, { start, sectors }: Extent): boolean =>
  entry.kind !== 'flush' && entry.sector < start + sectors && entry.sector + entry.sectors > start;

/** Every cut around an epoch: before anything of it is on the card, with random parts of it, and after all of it. */
export const around = (flush: number, subsets: number): Point[] => [
  { flush },
  ...Array.from({ length: subsets }, (_, subset) => ({ flush, subset })),
  { flush: flush + 1 },
];

/**
 * What to try of a kernel upgrade: all cuts around each epoch that wrote to the boot partition are looked at, and a
 * sample of the same ones is started, half of them between flushes.
 */
export function chooseUpgrade(log: readonly Logged[], boot: Extent, wanted: WorkWanted): Try[] {
  const parts = epochs(log);
  const own = epochsOfWork(parts, wanted).filter((flush) => parts[flush]?.some((one) => writesWithin(one, boot)));
  const every = distinct(own.flatMap((flush) => around(flush, wanted.subsets)));
  const started = sample(every, wanted);
  const whole = spread(shuffled(every, `${wanted.seed}/whole`), wanted.whole);
  return [
    ...every.map((point) => ({ point, whole: false, look: true })),
    ...started.map((point) => ({ point, whole: false })),
    ...whole.map((point) => ({ point, whole: true })),
  ];
}

/** What to try of another work: flushes spread over it, each with its random subsets. */
export function chooseWork(log: readonly Logged[], wanted: WorkWanted): Try[] {
  const parts = epochs(log);
  const every = distinct(epochsOfWork(parts, wanted).flatMap((flush) => around(flush, wanted.subsets)));
  const started = sample(every, wanted);
  // Those are finished too: masked units would keep the application from showing its data.
  return started.map((point) => ({ point, whole: true }));
}

const same = (a: Point, b: Point): boolean => a.flush === b.flush && a.subset === b.subset;
const distinct = (points: readonly Point[]): Point[] =>
  points.filter((point, at) => points.findIndex((one) => same(one, point)) === at);

/** Spread over the work in rounds, so that a run that ends early has been everywhere. */
function sample(every: readonly Point[], { sample: count = every.length, seed }: WorkWanted): Point[] {
  const flushes = shuffled(
    every.filter(({ subset }) => subset === undefined),
    `${seed}/flushes`,
  );
  const subsets = shuffled(
    every.filter(({ subset }) => subset !== undefined),
    `${seed}/subsets`,
  );
  const turns = Array.from({ length: Math.max(flushes.length, subsets.length) }, (_, at) => [subsets[at], flushes[at]]);
  return turns
    .flat()
    .flatMap((point) => point ?? [])
    .slice(0, count);
}

function shuffled<T>(list: readonly T[], seed: string): T[] {
  const next = generator(seed);
  return list
    .map((one) => ({ one, order: next() }))
    .sort((a, b) => a.order - b.order)
    .map(({ one }) => one);
}

const spread = <T>(list: readonly T[], count: number): T[] => list.slice(0, count);
