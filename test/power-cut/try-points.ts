import { appendFile, mkdir, open, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { freePorts } from '../../src/qemu/network.ts';
import { type Card, openCard } from './card.ts';
import type { Identity } from './inspect.ts';
import { fixedAt, judge, toldBy } from './judge.ts';
import { type Firmware, type Outcome, runCard } from './machine.ts';
import { stepsOf } from './marks.ts';
import { chooser, epochs, type Point, pointName } from './points.ts';
import { copyBase, identityOf, logOf, type Recording } from './record.ts';
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
  /** Nothing was started: what the board would load was looked at. */
  readonly look?: boolean;
  readonly boots: number;
  /** Of a chain: what each killed boot was at. */
  readonly cuts?: readonly string[];
  readonly seconds: number;
  readonly wrong: readonly string[];
  readonly identity?: Identity;
}

export interface Try {
  readonly point: Point;
  readonly whole: boolean;
  readonly look?: boolean;
}

export interface Bench {
  readonly folder: string;
  readonly recording: Recording;
  readonly seed: string;
  readonly cpus: number;
  /** Where this part's results go; what is in those of any part is not tried again. */
  readonly results: string;
  readonly log: (text: string) => void;
  /** Whether to stop before the next one. */
  readonly enough: () => boolean;
  /** What else there is to a recording that goes on after the first boot. */
  readonly after?: AfterWork;
}

/** How cards that were cut at some work of a ready device are started and judged. */
export interface AfterWork {
  /** What the board's firmware would load from this card. @throws StepError when it would not start */
  firmware(card: string, folder: string): Promise<Firmware>;
  /** What is wrong with what it would load, before and after the check of the file system at the start. */
  look(card: string, folder: string): Promise<string[]>;
  /** Done in the guest of points that mask nothing, when it is ready; says what is wrong. */
  finish(card: string, folder: string, port: number): Promise<string[]>;
  /** What is wrong with a device that went on. */
  judge(outcome: Outcome, card: string, folder: string, finished: boolean): Promise<string[]>;
}

const PATIENCE = 900;
/** The same with the work to be finished. */
const WORKING = 7200;

export async function readResults(path: string): Promise<Result[]> {
  const text = await readFile(path, 'utf8').catch(() => '');
  // A run that was ended in the middle of a line leaves a part of one.
  return text.split('\n').flatMap((line) => (line.endsWith('}') ? [JSON.parse(line) as Result] : []));
}

/** Results of all parts. */
export async function allResults(folder: string, seed: string): Promise<Result[]> {
  const names = (await readdir(folder)).filter((name) => name.startsWith(`results-${seed}-`));
  return (await Promise.all(names.map((name) => readResults(join(folder, name))))).flat();
}

export async function keepResult({ results, log }: Bench, result: Result): Promise<void> {
  await appendFile(results, `${JSON.stringify(result)}\n`);
  const kind = `${result.step}${result.whole ? ', whole image' : ''}`;
  const end = result.same ? 'the same card as another point' : `${result.seconds.toFixed(0)} s`;
  log(`${result.point} (${kind}): ${result.wrong.length === 0 ? 'good' : `BAD: ${result.wrong.join('; ')}`}, ${end}`);
}

const key = (point: string, { whole, look }: { whole: boolean; look?: boolean }): string =>
  `${point}${whole ? ' whole' : ''}${look ? ' look' : ''}`;

/** Starts the card of each point and judges what became of it. */
export async function tryPoints(bench: Bench, tries: readonly Try[]): Promise<void> {
  const { folder, recording, seed } = bench;
  const earlier = await allResults(folder, seed);
  const done = new Set(earlier.map((one) => key(one.point, one)));
  const seen = new Set(earlier.map((one) => key(one.state, one)));
  const writes = await readWriteLog(logOf(folder));
  const parts = epochs(writes);
  const stepAt = stepsOf(recording.marks, writes);
  const place = join(folder, `work-${process.pid}`);
  await mkdir(place, { recursive: true });
  const path = join(place, 'card.raw');
  await using log = await open(logOf(folder), 'r');
  let card: Card | undefined;
  let at = Number.POSITIVE_INFINITY;
  try {
    for (const one of tries) {
      const { point, whole } = one;
      if (bench.enough()) return;
      if (done.has(key(pointName(point), one))) continue;
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
      const about = {
        ...{ point: pointName(point), step: stepAt(logBytes), state, whole },
        ...(one.look ? { look: true } : {}),
      };
      if (seen.has(key(state, one))) {
        await keepResult(bench, { ...about, same: true, boots: 0, seconds: 0, wrong: [] });
      } else {
        seen.add(key(state, one));
        if (one.look) {
          const wrong = (await bench.after?.look(path, place)) ?? [];
          await keepResult(bench, { ...about, boots: 0, seconds: 0, wrong });
          await undo();
          continue;
        }
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
  { recording, cpus, folder, after }: Bench,
  card: Card,
  place: string,
  whole: boolean,
  before: readonly Partial<Identity>[],
): Promise<Pick<Result, 'boots' | 'seconds' | 'wrong' | 'identity'>> {
  const wrong: string[] = [];
  let firmware = recording.firmware;
  try {
    if (after !== undefined) firmware = await after.firmware(card.path, place);
  } catch (error) {
    return { boots: 0, seconds: 0, wrong: [`the board would not start: ${String(error)}`] };
  }
  const port = after !== undefined && whole ? (await freePorts()).ssh : undefined;
  const outcome = await runCard({
    ...{ firmware, card: card.path, folder: place, whole, cpus, settle: 1 },
    ...(port === undefined || after === undefined
      ? { patience: PATIENCE }
      : {
          ...{ port, patience: WORKING },
          async work() {
            const finished = after.finish(card.path, place, port);
            wrong.push(...(await finished.catch((error: unknown) => [`the work was not finished: ${String(error)}`])));
          },
        }),
  });
  await using log = await open(outcome.log, 'r');
  for (const { entry } of await readWriteLog(outcome.log)) await card.apply(entry, log);
  const found = await judge(outcome, card.path, place, identityOf(folder), before);
  wrong.push(...found.wrong, ...((await after?.judge(outcome, card.path, place, whole)) ?? []));
  return { boots: 1, seconds: outcome.seconds, wrong, identity: found.identity };
}
