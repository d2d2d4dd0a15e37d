import { mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { openCard } from './card.ts';
import { shownHostKey } from './inspect.ts';
import { type Told, toldBy } from './judge.ts';
import { runCard } from './machine.ts';
import { phaseOf } from './marks.ts';
import { anyMoment, measurePace, momentIn, type Pace } from './pace.ts';
import { chooser, epochs, generator } from './points.ts';
import { copyBase } from './record.ts';
import { allResults, type Bench, goOn, keepResult } from './try-points.ts';
import { readWriteLog } from './write-log.ts';

/** Cuts one after the other on one card, before it is let to its end. */
const LENGTH = 5;

/**
 * Takes the power from a new card five times, each at a random moment, each time with a random part of what was not
 * flushed; then it must become ready, with everything that its report ever told. Four of the moments are while the first
 * boot is at work, since kernel and systemd take as long as all steps; one may be any.
 */
export async function tryChains(bench: Bench, numbers: readonly number[]): Promise<void> {
  const { folder, seed, recording, cpus } = bench;
  const done = new Set((await allResults(folder, seed)).map(({ point }) => point));
  let pace: Pace | undefined;
  for (const number of numbers) {
    const point = `chain ${number}`;
    if (bench.enough()) return;
    if (done.has(point)) continue;
    const place = join(folder, `work-${process.pid}`);
    await mkdir(place, { recursive: true });
    try {
      pace ??= await measurePace(bench, place);
      const path = join(place, 'card.raw');
      await copyBase(folder, path);
      await using card = await openCard(path);
      const next = generator(`${seed}/${point}`);
      const told: Told[] = [];
      const times: number[] = [];
      const phases: string[] = [];
      const free = Math.floor(next() * LENGTH);
      for (let cut = 0; cut < LENGTH; cut += 1) {
        const cutAfter = cut === free ? anyMoment(pace, next()) : momentIn(pace, phases, next());
        const outcome = await runCard({
          ...{ firmware: recording.firmware, card: path, folder: place, whole: false, cpus, settle: 0 },
          ...{ patience: cutAfter, cutAfter },
        });
        times.push(cutAfter);
        phases.push(phaseOf(outcome.console));
        const parts = epochs(await readWriteLog(outcome.log));
        await using log = await open(outcome.log, 'r');
        const choose = chooser(`${seed}/${point}`, { flush: cut, subset: 0 });
        for (const [at, part] of parts.entries()) {
          const flushed = at < parts.length - 1;
          for (const { entry } of part) await card.apply(entry, log, flushed ? undefined : choose(entry));
        }
        told.push(await toldBy(path));
        // What was shown once must stay: nothing new can be learned from this card.
        if (!told.some(({ hostKey }) => hostKey !== undefined)) told.push(await shownHostKey(path, place));
      }
      const state = card.state();
      const found = await goOn(bench, card, place, false, told);
      const step = `cuts at ${times.map((time, cut) => `${time.toFixed(0)} s: ${phases[cut]}`).join(', ')}`;
      await keepResult(bench, { point, step, state, whole: false, ...found, boots: LENGTH + 1, cuts: phases });
    } finally {
      await rm(place, { recursive: true, force: true });
    }
  }
}
