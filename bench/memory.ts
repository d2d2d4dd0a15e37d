import { readdirSync, readFileSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { hostRunner } from '../src/host/runner.ts';
import { withOutput } from './again.ts';
import { coldBuild } from './cold.ts';
import { openBuild } from './context.ts';
import { seconds, timing } from './measure.ts';
import type { Row } from './row.ts';

const GIB = 1024 ** 3;

const read = (file: string): string => {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return ''; // The process has ended.
  }
};

/** This process and all that come from it. */
function descendants(): number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync('/proc').filter((one) => /^\d+$/.test(one))) {
    const parent = Number(/^\d+ \(.*\) \S (\d+)/s.exec(read(`/proc/${name}/stat`))?.[1] ?? -1);
    children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
  }
  const found = [process.pid];
  for (const one of found) found.push(...(children.get(one) ?? []));
  return found;
}

/** Bytes in the memory file systems that these processes see and this one does not. */
function inTmpfs(pids: readonly number[]): number {
  const device = /^\d+ \d+ (\S+) \S+ (\S+) .* - tmpfs /gm;
  const own = new Set([...read('/proc/self/mountinfo').matchAll(device)].map((match) => match[1]));
  const seen = new Map<string, number>();
  for (const pid of pids) {
    for (const [, id = '', place = ''] of read(`/proc/${pid}/mountinfo`).matchAll(device)) {
      if (own.has(id) || seen.has(id)) continue;
      try {
        const { blocks, bfree, bsize } = statfsSync(`/proc/${pid}/root${place}`);
        seen.set(id, (blocks - bfree) * bsize);
      } catch {
        // The process has ended, or something else is mounted there now.
      }
    }
  }
  return [...seen.values()].reduce((sum, bytes) => sum + bytes, 0);
}

function sample(): { readonly pss: number; readonly tmpfs: number } {
  const pids = descendants();
  const kib = pids.map((pid) => Number(/^Pss:\s+(\d+)/m.exec(read(`/proc/${pid}/smaps_rollup`))?.[1] ?? 0));
  return { pss: kib.reduce((sum, one) => sum + one, 0) * 1024, tmpfs: inTmpfs(pids) };
}

/** Bytes of disk that folders take. Files that vanish meanwhile are none. */
async function taken(paths: readonly string[]): Promise<number> {
  if (paths.length === 0) return 0;
  const { stdout } = await hostRunner.run(['du', '-scB1', ...paths], { okCodes: [0, 1] });
  return Number(/^(\d+)\ttotal$/m.exec(stdout)?.[1] ?? 0);
}

export const memory: Row = {
  name: 'memory',
  work: 'memory and disk that a cold build takes',
  slow: true,
  async run({ tell }) {
    const { cache } = await openBuild({ dispatch: true });
    return withOutput(async (out) => {
      let [peak, pss, tmpfs, disk] = [0, 0, 0, 0];
      const memoryTimer = setInterval(() => {
        const now = sample();
        if (now.pss + now.tmpfs <= peak) return;
        peak = now.pss + now.tmpfs;
        ({ pss, tmpfs } = now);
      }, 100);
      let measuring: Promise<unknown> | undefined;
      const diskTimer = setInterval(() => {
        const making = readdirSync(cache.layers).filter((name) => name.startsWith('image.') && name.endsWith('.new'));
        measuring ??= taken([out, ...making.map((name) => join(cache.layers, name))])
          .then((bytes) => {
            disk = Math.max(disk, bytes);
          })
          .finally(() => {
            measuring = undefined;
          });
      }, 500);
      const time = await seconds(() => coldBuild(out)).finally(() => {
        clearInterval(memoryTimer);
        clearInterval(diskTimer);
      });
      await measuring;
      const image = await taken([join(out, 'amslpr.img')]);
      tell(`  ${(pss / GIB).toFixed(2)} GiB of processes and ${(tmpfs / GIB).toFixed(2)} GiB of tmpfs at the peak`);
      return {
        arms: { 'cold build, watched': timing([time]) },
        figures: [
          { name: 'peak of memory', value: peak / GIB, unit: 'GiB', goal: { atMost: 1.5 } },
          { name: 'disk beside the caches / .img', value: disk / image, unit: 'x', goal: { atMost: 3 } },
        ],
        notes: [
          `at the peak ${(pss / GIB).toFixed(2)} GiB of summed PSS and ${(tmpfs / GIB).toFixed(2)} GiB of tmpfs; the .img has ${(image / GIB).toFixed(2)} GiB of blocks`,
        ],
      };
    });
  },
};
