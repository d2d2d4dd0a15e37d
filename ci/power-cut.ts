#!/usr/bin/env -S npx tsx
import { join } from 'node:path';
import { Command, Option } from 'commander';
import { UserError } from '../src/core/errors.ts';
import { type BreakName, breakNames } from '../test/power-cut/breaks.ts';
import { powerCuts } from '../test/power-cut/run.ts';
import { type WorkName, workNames } from '../test/power-cut/work.ts';

const project = join(import.meta.dirname, '..');
const number = (text: string): number => {
  if (!/^\d+(\.\d+)?$/.test(text)) throw new UserError(`"${text}" is no number`);
  return Number(text);
};
const part = (text: string): [number, number] => {
  const [, own = 0, all = 0] = (/^(\d+)\/(\d+)$/.exec(text) ?? []).map(Number);
  if (own < 1 || own > all) throw new UserError(`"${text}" is no part: write 1/4 for the first of four`);
  return [own, all];
};

const program = new Command('ci/power-cut')
  .description(
    'Cut the power of a first boot, or of a work of a ready device, at every flush and between flushes. Goes on where the last run ended.',
  )
  .addOption(
    new Option('--work <name>', 'cut at this work of a ready device, not at the first boot').choices(workNames),
  )
  .option(
    '--full',
    'every flush, one random subset after each, 60 points of the whole image and one of each step, 45 chains of five cuts',
  )
  .option('--sample <count>', 'only so many flushes and subsets, spread over all steps', number, 12)
  .option('--random <share>', 'random subsets of unflushed sectors, as a share of the flushes', number)
  .option('--whole <count>', 'points that run the image with no unit masked', number)
  .option('--chains <count>', 'cards that are cut five times in a row', number)
  .option('--parts <n/m>', 'the n-th of m parts, to be run on different machines or days', part, [1, 1])
  .option('--steps <names...>', 'only points within these steps of the first boot')
  .option('--minutes <count>', 'end after so many minutes', number, Number.POSITIVE_INFINITY)
  .option('--seed <text>', 'of all random choices', '1')
  .option('--image <file>', 'an image, as it was built', join(project, 'out', 'amslpr.img'))
  .option('--state <folder>', 'where recording and results are', join(project, 'work', 'power-cut'))
  .option('--cpus <count>', 'processors of a guest', number, 2)
  .addOption(new Option('--break <name>', 'take a sync out of the image’s copy, to see it found').choices(breakNames))
  .parse();

const given = program.opts<{
  readonly full?: boolean;
  readonly sample: number;
  readonly random?: number;
  readonly whole?: number;
  readonly chains?: number;
  readonly parts: [number, number];
  readonly steps?: string[];
  readonly minutes: number;
  readonly seed: string;
  readonly image: string;
  readonly state: string;
  readonly cpus: number;
  readonly break?: BreakName;
  readonly work?: WorkName;
}>();

const full = given.full === true;
const started = Date.now();
const { text, failures } = await powerCuts({
  ...{ image: given.image, seed: given.seed, minutes: given.minutes, cpus: given.cpus, part: given.parts },
  folder: [given.state, given.break, given.work].filter((word) => word !== undefined).join('-'),
  ...(given.work === undefined ? {} : { work: given.work }),
  ...(full ? {} : { sample: given.sample }),
  ...(given.steps === undefined ? {} : { steps: given.steps }),
  ...(given.break === undefined ? {} : { broken: given.break }),
  ...{ subsets: given.random ?? 1, whole: given.whole ?? (full ? 60 : 0), chains: given.chains ?? (full ? 45 : 0) },
  quick: !full,
  log: (line) => process.stdout.write(`${((Date.now() - started) / 60_000).toFixed(1)} min: ${line}\n`),
});
process.stdout.write(`\n${text}`);
process.exitCode = failures === 0 ? 0 : 1;
