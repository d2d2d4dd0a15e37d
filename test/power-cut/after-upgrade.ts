import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { copyBoot, loadedFrom, repairBoot } from './firmware.ts';
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
    firmware: loadedFrom,
    async look(card, place) {
      const copy = join(place, 'boot.raw');
      const wrong: string[] = [];
      try {
        await copyBoot(card, copy);
        wrong.push(...(await strange(copy, place, starts)));
        await repairBoot(copy);
        wrong.push(
          ...(await strange(copy, place, starts)).map((text) => `after the check of its file system: ${text}`),
        );
      } catch (error) {
        wrong.push(String(error));
      } finally {
        await rm(copy, { force: true });
      }
      return wrong;
    },
    async finish(card, place, port) {
      await using device = await loginTo(place, card, port, identityOf(folder));
      return work.finish({ device, console: join(place, 'console.log') });
    },
    async judge(outcome, card, place, finished) {
      const release = releaseOf(outcome);
      const known = [...starts.values()].includes(release);
      const running = known ? [] : [`the kernel is ${release || 'none'}, neither the old nor the new one`];
      if (!finished) return [...running, ...(await strange(card, place, starts))];
      // Its initramfs was made anew, and is another one than that of the recording.
      const { names } = await loadedFrom(card, place);
      const newest = [...starts.values()].at(-1) ?? '';
      return names[0].endsWith(newest) ? running : [...running, `when all was done, the board would start ${names[0]}`];
    },
  };
}

/** What the running kernel called itself. */
export const releaseOf = ({ console }: Pick<Outcome, 'console'>): string =>
  /Linux version (\S+)/.exec(console)?.[1] ?? '';

async function strange(card: string, place: string, starts: Starts): Promise<string[]> {
  try {
    const { digest, names } = await loadedFrom(card, place);
    return starts.has(digest)
      ? []
      : [`the board would start neither the old nor the new files, but ${names.join(', ')}`];
  } catch (error) {
    return [`the board would not start: ${error instanceof Error ? error.message : String(error)}`];
  }
}
