import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { hostRunner } from '../../src/host/runner.ts';
import { findBootPartition } from '../../src/site/boot-partition.ts';
import { type BootPlace, checkedBoot, firmwareOf, loadedFrom } from './firmware.ts';
import type { Outcome } from './machine.ts';
import { identityOf } from './record.ts';
import { loginTo } from './session.ts';
import type { AfterWork } from './try-points.ts';
import type { Work } from './work.ts';

/** What a start may be made of: digests of what the board loads, with the release of the kernel that it then runs. */
export type Starts = ReadonlyMap<string, string>;

/**
 * Judges cards that were cut at a kernel upgrade: the old set of boot files or the new one, nothing between. Beside a new one
 * stands the old one, which a person can start.
 */
export function afterUpgrade(folder: string, work: Work, starts: Starts): AfterWork {
  return {
    firmware: firmwareOf,
    async look(card, place) {
      const copy = join(place, 'boot.part');
      try {
        const wrong = await strange(await findBootPartition(card), place, starts);
        const boot = await checkedBoot(card, copy);
        const checked = [...(await strange(boot, place, starts)), ...(await lostBefore(boot, place, starts))];
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
      const copy = join(place, 'boot.part');
      const checked = checkedBoot(card, copy).then((boot) => lostBefore(boot, place, starts));
      running.push(...(await checked.catch((error: unknown) => [String(error)])));
      await rm(copy, { force: true });
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

/**
 * What is wrong with the set that was started from, once config.txt names another one. `boot` is a copy of the partition:
 * what docs/runbooks/maintenance.md tells a person whose new kernel does not start is done in it.
 */
async function lostBefore(boot: BootPlace, place: string, starts: Starts): Promise<string[]> {
  const [first] = starts.keys();
  try {
    const now = await loadedFrom(boot, place);
    if (now.digest === first) return [];
    const folder = now.names[0].replace(/[^/]*$/, '');
    const drive = `${boot.image}@@${boot.offset}`;
    const env = { MTOOLSRC: '/dev/null', MTOOLS_SKIP_CHECK: '1' };
    await hostRunner.run(['mcopy', '-o', '-i', drive, `::${folder}previous.txt`, '::config.txt'], {
      env,
      timeout: 300,
    });
    const before = await loadedFrom(boot, place);
    return starts.has(before.digest) && before.digest !== now.digest
      ? []
      : [`beside ${folder}, the set before it is not whole, but ${before.names.join(', ')}`];
  } catch (error) {
    return [`the set before cannot be started: ${error instanceof Error ? error.message : String(error)}`];
  }
}
