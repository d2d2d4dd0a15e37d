import { open, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterUpgrade, type Starts } from './after-upgrade.ts';
import { afterWork } from './after-work.ts';
import { openCard } from './card.ts';
import { loadedFrom } from './firmware.ts';
import { partitionsOf } from './parts.ts';
import { epochs } from './points.ts';
import { baseOf, copyBase, logOf, type Recording, recording, stepAt } from './record.ts';
import { type Report, report } from './report.ts';
import type { RunOptions } from './run.ts';
import { chooseUpgrade, chooseWork, type WorkWanted } from './select-work.ts';
import { type AfterWork, allResults, type Bench, type Try, tryPoints } from './try-points.ts';
import type { Work, WorkName } from './work.ts';
import { backupWork } from './work-backup.ts';
import { restoreWork } from './work-restore.ts';
import { upgradeWork } from './work-upgrade.ts';
import { type Logged, readWriteLog } from './write-log.ts';

interface Kind {
  make(folder: string): Promise<Work>;
  choose(log: readonly Logged[], folder: string, wanted: WorkWanted): Promise<Try[]>;
  after(folder: string, work: Work, recorded: Recording): Promise<AfterWork>;
}

const plain = (make: Kind['make']): Kind => ({
  make,
  choose: async (log, _, wanted) => chooseWork(log, wanted),
  after: async (folder, work) => afterWork(folder, work),
});

const KINDS: Record<WorkName, Kind> = {
  backup: plain(backupWork),
  restore: plain(restoreWork),
  upgrade: {
    make: upgradeWork,
    async choose(log, folder, wanted) {
      const boot = (await partitionsOf(baseOf(folder))).get(1);
      if (boot === undefined) throw new Error('the card has no boot partition');
      return chooseUpgrade(log, boot, wanted);
    },
    after: async (folder, work, recorded) => afterUpgrade(folder, work, await startsOf(folder, recorded)),
  },
};

/** Records a ready device at a work where that was not done, tries this part's points, and tells of all parts. */
export async function workCuts(name: WorkName, options: RunOptions): Promise<Report> {
  const { image, folder, seed, part, log, cpus } = options;
  const kind = KINDS[name];
  const until = Date.now() + options.minutes * 60_000;
  log(`Seed: ${seed}`);
  await using doing = await kind.make(folder);
  const recorded = await recording({ image, folder, whole: true, cpus, work: { name, doing } });
  const [from = 0, to = 0] = [name, `after ${name}`].map((step) => markOf(recorded, step));
  const writes = await readWriteLog(logOf(folder));
  const all = await kind.choose(writes, folder, { ...options, from, to });
  const tries = all.filter((_, at) => at % part[1] === part[0] - 1);
  const steps = epochs(writes).map((one) => stepAt(recorded, one[0]?.end ?? 0));
  const own = steps.filter((step) => step === name);
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

/** What the board would load before the upgrade and after it, read from the recording once. */
async function startsOf(folder: string, recorded: Recording): Promise<Starts> {
  const kept = join(folder, 'starts.json');
  const text = await readFile(kept, 'utf8').catch(() => '');
  if (text !== '') return new Map(JSON.parse(text) as [string, string][]);
  const path = join(folder, 'starts.raw');
  const found: [string, string][] = [];
  try {
    await copyBase(folder, path);
    await using card = await openCard(path);
    await using log = await open(logOf(folder), 'r');
    const add = async (): Promise<void> => {
      const { digest, names } = await loadedFrom(path, folder);
      found.push([digest, names[0].replace(/^.*vmlinuz-/, '')]);
    };
    const from = markOf(recorded, 'upgrade');
    let before = true;
    for (const { entry, end } of await readWriteLog(logOf(folder))) {
      if (before && end > from) await add();
      before = end <= from;
      await card.apply(entry, log);
    }
    await add();
  } finally {
    await rm(path, { force: true });
  }
  if (found[0]?.[1] === found[1]?.[1]) throw new Error('the board would start the same kernel as before the upgrade');
  await writeFile(kept, JSON.stringify(found));
  return new Map(found);
}
