import { open, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { silent } from '../src/core/log.ts';
import { alignedBuffer } from '../src/flash/aligned.ts';
import type { BlockMap } from '../src/flash/bmap.ts';
import { flash } from '../src/flash/flash.ts';
import { CHUNK, chunks } from '../src/flash/pipeline.ts';
import { openSource } from '../src/flash/source.ts';
import { openTarget } from '../src/flash/target.ts';
import { hostRunner } from '../src/host/runner.ts';
import { ephemeralSite } from '../src/qemu/ephemeral-site.ts';
import { personalizeInPlace } from '../src/site/personalize.ts';
import { withImage, withOutput } from './again.ts';
import { alternate, seconds, timing } from './measure.ts';
import type { Row } from './row.ts';

// Flashing against the least that it can take. Each arm writes to a new sparse file.

async function freshFile(path: string, size: number): Promise<void> {
  await rm(path, { force: true });
  await writeFile(path, '');
  await truncate(path, size);
  // What the arm before left to be written is not this one's to pay for.
  await hostRunner.run(['sync']);
}

/** The mapped ranges, written and read back with the transfers and the direct I/O that flash uses. */
async function raw(from: string, to: string, map: BlockMap): Promise<void> {
  const [source, target] = [await open(from, 'r'), await openTarget(to, map.imageSize, 'file')];
  const buffer = alignedBuffer(CHUNK);
  for (const range of map.ranges) {
    for (const { start, length } of chunks(range)) {
      await source.read(buffer, 0, length, start);
      await target.write(buffer.subarray(0, length), start);
    }
  }
  await target.flush();
  for (const range of map.ranges) {
    for (const { start, length } of chunks(range)) await target.read(buffer.subarray(0, length), start);
  }
  await source.close();
  await target.close();
}

/** The same by dd, which takes offsets in bytes; ranges of a map are multiples of 4 KiB, as direct I/O wants them. */
async function dd(from: string, to: string, map: BlockMap): Promise<void> {
  const run = (args: readonly string[]) => hostRunner.run(['dd', `bs=${CHUNK}`, 'status=none', ...args]);
  for (const { start, length } of map.ranges) {
    const places = [`skip=${start}`, `seek=${start}`, `count=${length}`];
    const flags = ['iflag=skip_bytes,count_bytes', 'oflag=direct,seek_bytes', 'conv=notrunc'];
    await run([`if=${from}`, `of=${to}`, ...places, ...flags]);
  }
  await hostRunner.run(['sync', '-d', to]);
  for (const { start, length } of map.ranges) {
    await run([`if=${to}`, 'of=/dev/null', `skip=${start}`, `count=${length}`, 'iflag=direct,skip_bytes,count_bytes']);
  }
}

/** What a site costs on top of an image: seconds of each round, each onto a new copy. */
async function stamps(folder: string, image: string, rounds: number): Promise<number[]> {
  const copy = join(folder, 'stamped.img');
  const { site } = await ephemeralSite(folder);
  const taken: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    await hostRunner.run(['cp', '--sparse=always', image, copy]);
    taken.push(await seconds(() => personalizeInPlace(copy, site, image)));
  }
  await rm(copy);
  return taken;
}

export const flashing: Row = {
  name: 'flash',
  work: 'the mapped blocks of the image onto a file, read back and compared; a site stamped onto it',
  run: ({ rounds, tell }) =>
    withOutput((folder) =>
      withImage(async (image) => {
        const { map } = await openSource(image, hostRunner);
        const card = join(folder, 'card.img');
        const onto = (work: () => Promise<unknown>) => async () => {
          await freshFile(card, map.imageSize);
          return seconds(work);
        };
        // The image is in memory for all arms.
        await hostRunner.run(['dd', `if=${image}`, 'of=/dev/null', 'bs=4M', 'status=none']);
        const arms = await alternate(
          {
            raw: onto(() => raw(image, card, map)),
            dd: onto(() => dd(image, card, map)),
            'bmaptool, without reading back': onto(() => hostRunner.run(['bmaptool', 'copy', image, card])),
            flash: onto(() => flash({ image, device: card, yes: true }, { runner: hostRunner, log: silent })),
          },
          rounds,
          tell,
        );
        // Inside a round, since a disk's speed drifts.
        const base = arms['raw']?.seconds ?? [];
        const ratios = timing((arms['flash']?.seconds ?? []).map((own, round) => own / (base[round] ?? Number.NaN)));
        const stamp = timing(await stamps(folder, image, Math.max(rounds, 5)));
        const mapped = map.ranges.reduce((sum, range) => sum + range.length, 0);
        return {
          arms: { ...arms, 'site stamp': stamp },
          figures: [
            { name: 'flash / raw', value: ratios.median, unit: 'x', goal: { atMost: 1.05 } },
            { name: 'site stamp', value: stamp.median, unit: 's', goal: { atMost: 0.2 } },
          ],
          notes: [
            `${(mapped / 1e6).toFixed(0)} MB mapped; flash / raw by round: ${ratios.seconds.map((one) => one.toFixed(2)).join(', ')}`,
          ],
        };
      }),
    ),
};
