import { open, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findBootPartition } from '../../src/site/boot-partition.ts';
import { afterUpgrade, type Starts } from './after-upgrade.ts';
import { afterWork } from './after-work.ts';
import { openCard } from './card.ts';
import { loadedFrom } from './firmware.ts';
import { stepsOf } from './marks.ts';
import { partitionsOf } from './parts.ts';
import { epochs } from './points.ts';
import { baseOf, copyBase, logOf, type Recording, recording } from './record.ts';
import { recordBootFiles } from './record-boot-files.ts';
import { type Report, report } from './report.ts';
import type { RunOptions } from './run.ts';
import { chooseUpgrade, chooseWork, epochsOfWork, type WorkWanted } from './select-work.ts';
import { type AfterWork, allResults, type Bench, type Try, tryPoints } from './try-points.ts';
import { nothingToDo, type Work, type WorkName } from './work.ts';
import { backupWork } from './work-backup.ts';
import { restoreWork } from './work-restore.ts';
import { upgradeWork } from './work-upgrade.ts';
import { type Logged, readWriteLog } from './write-log.ts';

interface Kind {
  /** Steps of the recording where the cuts begin, and which is the first after them. */
  readonly span: readonly [string, string];
  make(folder: string): Promise<Work>;
  record(options: RunOptions, work: Work): Promise<Recording>;
  choose(log: readonly Logged[], folder: string, wanted: WorkWanted): Promise<Try[]>;
  after(folder: string, work: Work, recorded: Recording): Promise<AfterWork>;
}

/** A work that a device does after its first boot. */
const ofDevice = (name: WorkName, make: Kind['make']): Pick<Kind, 'span' | 'make' | 'record'> => ({
  ...{ span: [name, `after ${name}`], make },
  record: ({ image, folder, cpus }, doing) => recording({ image, folder, whole: true, cpus, work: { name, doing } }),
});
const ofData: Pick<Kind, 'choose' | 'after'> = {
  choose: async (log, _, wanted) => chooseWork(log, wanted),
  after: async (folder, work) => afterWork(folder, work),
};
/** `writes`: the steps that write a set of boot files. */
const ofBoot = (...writes: readonly string[]): Pick<Kind, 'choose' | 'after'> => ({
  async choose(log, folder, wanted) {
    const boot = (await partitionsOf(baseOf(folder))).get(1);
    if (boot === undefined) throw new Error('the card has no boot partition');
    return chooseUpgrade(log, boot, wanted);
  },
  after: async (folder, work, recorded) => afterUpgrade(folder, work, await startsOf(folder, recorded, writes)),
});

const KINDS: Record<WorkName, Kind> = {
  upgrade: { ...ofDevice('upgrade', upgradeWork), ...ofBoot('upgrade') },
  'boot-files': {
    span: ['kernel', 'ready'],
    make: async () => nothingToDo,
    record: ({ image, folder, cpus }) => recordBootFiles(image, folder, cpus),
    ...ofBoot('kernel', 'initramfs'),
  },
  backup: { ...ofDevice('backup', backupWork), ...ofData },
  restore: { ...ofDevice('restore', restoreWork), ...ofData },
};

/** Records a ready device at a work where that was not done, tries this part's points, and tells of all parts. */
export async function workCuts(name: WorkName, options: RunOptions): Promise<Report> {
  const { folder, seed, part, log, cpus } = options;
  const kind = KINDS[name];
  const until = Date.now() + options.minutes * 60_000;
  log(`Seed: ${seed}`);
  await using doing = await kind.make(folder);
  const recorded = await kind.record(options, doing);
  const [from, to] = [markOf(recorded, kind.span[0]), markOf(recorded, kind.span[1])];
  const writes = await readWriteLog(logOf(folder));
  const all = await kind.choose(writes, folder, { ...options, from, to });
  const tries = all.filter((_, at) => at % part[1] === part[0] - 1);
  const parts = epochs(writes);
  const stepAt = stepsOf(recorded.marks, writes);
  const own = epochsOfWork(parts, { from, to }).map((flush) => stepAt(parts[flush]?.[0]?.end ?? 0));
  log(
    `${name}: ${own.length} flushes; ${tries.length} points, ${tries.filter(({ look }) => look).length} of them looks`,
  );
  const bench: Bench = {
    ...{ folder, recording: recorded, seed, cpus, log },
    results: join(folder, `results-${seed}-${part[0]}-of-${part[1]}.jsonl`),
    enough: () => Date.now() > until,
    after: await kind.after(folder, doing, recorded),
  };
  await tryPoints(bench, tries);
  return report(await allResults(folder, seed), recorded, own);
}

function markOf({ marks }: Recording, step: string): number {
  const mark = marks.find((one) => one.step === step);
  if (mark === undefined) throw new Error(`the recording does not say where ${step} is`);
  return mark.logBytes;
}

/** What the board would load before each write of boot files and after all of them, read from the recording once. */
async function startsOf(folder: string, recorded: Recording, writes: readonly string[]): Promise<Starts> {
  const kept = join(folder, 'starts.json');
  const text = await readFile(kept, 'utf8').catch(() => '');
  if (text !== '') return new Map(JSON.parse(text) as [string, string][]);
  const path = join(folder, 'starts.raw');
  const found: [string, string][] = [];
  const marks = writes.map((step) => markOf(recorded, step));
  try {
    await copyBase(folder, path);
    await using card = await openCard(path);
    await using log = await open(logOf(folder), 'r');
    const add = async (): Promise<void> => {
      const { digest, names } = await loadedFrom(await findBootPartition(path), folder);
      found.push([digest, names[0].replace(/^.*vmlinuz-/, '')]);
    };
    for (const { entry, end } of await readWriteLog(logOf(folder))) {
      for (; marks[0] !== undefined && end > marks[0]; marks.shift()) await add();
      await card.apply(entry, log);
    }
    await add();
  } finally {
    await rm(path, { force: true });
  }
  if (found[0]?.[1] === found.at(-1)?.[1]) throw new Error('the board would start the same kernel as before the work');
  await writeFile(kept, JSON.stringify(found));
  return new Map(found);
}
