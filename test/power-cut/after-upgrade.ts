import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { findBootPartition } from '../../src/site/boot-partition.ts';
import { type BootPlace, checkedBoot, firmwareOf, loadedFrom } from './firmware.ts';
import type { Outcome } from './machine.ts';
import { identityOf } from './record.ts';
import { loginTo } from './session.ts';
import type { AfterWork } from './try-points.ts';
import type { Work } from './work.ts';

/** What a start may be made of: digests of what the board loads, with the release of the kernel that it then runs. */
export type Starts = ReadonlyMap<string, string>;

/** Judges cards that were cut at a kernel upgrade: the old set of boot files or the new one, nothing between. */
export function afterUpgrade(folder: string, work: Work, starts: Starts): AfterWork {
  return {
    firmware: firmwareOf,
    async look(card, place) {
      const copy = join(place, 'boot.part');
      try {
        const wrong = await strange(await findBootPartition(card), place, starts);
        const checked = await strange(await checkedBoot(card, copy), place, starts);
        return [...wrong, ...checked.map((text) => `after the check of its file system: ${text}`)];
      } catch (error) {
        return [String(error)];
      } finally {
        await rm(copy, { force: true });
      }
    },
    async finish(card, place, port) {
      await using device = await loginTo(place, card, port, identityOf(folder));
      return work.finish({ device, console: join(place, 'console.log') });
    },
    async judge(outcome, card, place, finished) {
      const release = releaseOf(outcome);
      const known = [...starts.values()].includes(release);
      const running = known ? [] : [`the kernel is ${release || 'none'}, neither the old nor the new one`];
      if (!finished) return [...running, ...(await strange(await findBootPartition(card), place, starts))];
      // Its initramfs was made anew, and is another one than that of the recording.
      const { names } = await loadedFrom(await findBootPartition(card), place);
      const newest = [...starts.values()].at(-1) ?? '';
      return names[0].endsWith(newest) ? running : [...running, `when all was done, the board would start ${names[0]}`];
    },
  };
}

/** What the running kernel called itself. */
export const releaseOf = ({ console }: Pick<Outcome, 'console'>): string =>
  /Linux version (\S+)/.exec(console)?.[1] ?? '';

async function strange(boot: BootPlace, place: string, starts: Starts): Promise<string[]> {
  try {
    const { digest, names } = await loadedFrom(boot, place);
    return starts.has(digest)
      ? []
      : [`the board would start neither the old nor the new files, but ${names.join(', ')}`];
  } catch (error) {
    return [`the board would not start: ${error instanceof Error ? error.message : String(error)}`];
  }
}
