import { appendFile, mkdir, open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Card, openCard } from './card.ts';
import type { Identity } from './inspect.ts';
import { fixedAt, judge, toldBy } from './judge.ts';
import { runCard } from './machine.ts';
import { chooser, epochs, type Point, pointName } from './points.ts';
import { copyBase, identityOf, logOf, type Recording, stepAt } from './record.ts';
import { type Logged, readWriteLog } from './write-log.ts';

/** One line of the results. */
export interface Result {
  /** The point, `chain N` for kills one after the other. */
  readonly point: string;
  readonly step: string;
  /** The card that was started, by digest. */
  readonly state: string;
  /** The same card was tried at another point: nothing was started. */
  readonly same?: boolean;
  /** The image as it is, without masked units. */
  readonly whole: boolean;
  readonly boots: number;
  readonly seconds: number;
  readonly wrong: readonly string[];
  readonly identity?: Identity;
}

export interface Try {
  readonly point: Point;
  readonly whole: boolean;
}

export interface Bench {
  readonly folder: string;
  readonly recording: Recording;
  readonly seed: string;
  readonly cpus: number;
  /** Where results go; the lines that are there already are not tried again. */
  readonly results: string;
  readonly log: (text: string) => void;
  /** Whether to stop before the next one. */
  readonly enough: () => boolean;
}

const PATIENCE = 900;

export async function readResults(path: string): Promise<Result[]> {
  const text = await readFile(path, 'utf8').catch(() => '');
  // A run that was ended in the middle of a line leaves a part of one.
  return text.split('\n').flatMap((line) => (line.endsWith('}') ? [JSON.parse(line) as Result] : []));
}

export async function keepResult({ results, log }: Bench, result: Result): Promise<void> {
  await appendFile(results, `${JSON.stringify(result)}\n`);
  const kind = `${result.step}${result.whole ? ', whole image' : ''}`;
  const end = result.same ? 'the same card as another point' : `${result.seconds.toFixed(0)} s`;
  log(`${result.point} (${kind}): ${result.wrong.length === 0 ? 'good' : `BAD: ${result.wrong.join('; ')}`}, ${end}`);
}

const key = (point: string, whole: boolean): string => `${point}${whole ? ' whole' : ''}`;

/** Starts the card of each point and judges what became of it. */
export async function tryPoints(bench: Bench, tries: readonly Try[]): Promise<void> {
  const { folder, recording, seed, results } = bench;
  const earlier = await readResults(results);
  const done = new Set(earlier.map(({ point, whole }) => key(point, whole)));
  const seen = new Set(earlier.map(({ state, whole }) => key(state, whole)));
  const parts = epochs(await readWriteLog(logOf(folder)));
  const place = join(folder, `work-${process.pid}`);
  await mkdir(place, { recursive: true });
  const path = join(place, 'card.raw');
  await using log = await open(logOf(folder), 'r');
  let card: Card | undefined;
  let at = Number.POSITIVE_INFINITY;
  try {
    for (const { point, whole } of tries) {
      if (bench.enough()) return;
      if (done.has(key(pointName(point), whole))) continue;
      if (card === undefined || point.flush < at) {
        await card?.[Symbol.asyncDispose]();
        await copyBase(folder, path);
        card = await openCard(path);
        at = 0;
      }
      for (; at < point.flush; at += 1) for (const { entry } of parts[at] ?? []) await card.apply(entry, log);
      const undo = card.remember();
      const choose = chooser(seed, point);
      const rest: readonly Logged[] = point.subset === undefined ? [] : (parts[at] ?? []);
      for (const { entry } of rest) await card.apply(entry, log, choose(entry));
      // The last byte of the log that this card has all of.
      const logBytes = parts[at - 1]?.at(-1)?.end ?? 0;
      const state = card.state();
      const about = { point: pointName(point), step: stepAt(recording, logBytes), state, whole };
      if (seen.has(key(state, whole))) {
        await keepResult(bench, { ...about, same: true, boots: 0, seconds: 0, wrong: [] });
      } else {
        seen.add(key(state, whole));
        const before = [fixedAt(recording, logBytes), await toldBy(path)];
        const found = await goOn(bench, card, place, whole, before);
        await keepResult(bench, { ...about, ...found });
      }
      await undo();
    }
  } finally {
    await card?.[Symbol.asyncDispose]();
    await rm(place, { recursive: true, force: true });
  }
}

/** Starts a card and lets it come to its end; puts what it wrote onto the card, and judges it. */
export async function goOn(
  { recording, cpus, folder }: Bench,
  card: Card,
  place: string,
  whole: boolean,
  before: readonly Partial<Identity>[],
): Promise<Pick<Result, 'boots' | 'seconds' | 'wrong' | 'identity'>> {
  const outcome = await runCard({
    ...{ firmware: recording.firmware, card: card.path, folder: place, whole },
    ...{ cpus, settle: 1, patience: PATIENCE },
  });
  await using log = await open(outcome.log, 'r');
  for (const { entry } of await readWriteLog(outcome.log)) await card.apply(entry, log);
  const { wrong, identity } = await judge(outcome, card.path, place, identityOf(folder), before);
  return { boots: 1, seconds: outcome.seconds, wrong, identity };
}
