/**
 * How long flashing takes, against the least that it can take: `npx tsx bench/flash.ts IMAGE.img [FOLDER] [ROUNDS]`.
 * One round writes the mapped ranges of a raw image and reads them back (raw), flashes it, and runs bmaptool where there
 * is one, each to a new sparse file in FOLDER. The raw part does what dd does with oflag=direct and iflag=direct, for
 * the mapped ranges only. Prints the best of all rounds, in seconds, and the ratio to raw; the goal is 1.05 at most.
 */
import { open, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silent } from '../src/core/log.ts';
import { alignedBuffer } from '../src/flash/aligned.ts';
import { flash } from '../src/flash/flash.ts';
import { CHUNK, chunks } from '../src/flash/pipeline.ts';
import { openSource } from '../src/flash/source.ts';
import { openTarget } from '../src/flash/target.ts';
import { hostRunner } from '../src/host/runner.ts';

const [image, folder = tmpdir(), rounds = '3'] = process.argv.slice(2);

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}

async function freshFile(path: string, size: number): Promise<void> {
  await rm(path, { force: true });
  await writeFile(path, '');
  await truncate(path, size);
}

async function raw(from: string, to: string): Promise<void> {
  const { map } = await openSource(from, hostRunner);
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

const hasBmaptool = (): Promise<boolean> =>
  hostRunner.run(['bmaptool', '--version']).then(
    () => true,
    () => false,
  );

async function main(from: string): Promise<void> {
  const { map, origin } = await openSource(from, hostRunner);
  const mapped = map.ranges.reduce((sum, range) => sum + range.length, 0);
  const card = join(folder, `flash-bench-${process.pid}.img`);
  const ways: [string, () => Promise<unknown>][] = [
    ['raw', () => raw(from, card)],
    ['flash', () => flash({ image: from, device: card, yes: true }, { runner: hostRunner, log: silent })],
  ];
  if (await hasBmaptool())
    ways.push(['bmaptool (writes only)', () => hostRunner.run(['bmaptool', 'copy', from, card])]);
  const best = new Map<string, number>();
  try {
    for (let round = 0; round < Number(rounds); round++) {
      for (const [name, work] of ways) {
        await freshFile(card, map.imageSize);
        best.set(name, Math.min(best.get(name) ?? Number.POSITIVE_INFINITY, await timed(work)));
      }
    }
  } finally {
    await rm(card, { force: true });
  }
  const base = best.get('raw') ?? Number.NaN;
  console.log(`${(mapped / 1e6).toFixed(0)} MB mapped of ${(map.imageSize / 1e6).toFixed(0)} MB, map from ${origin}`);
  for (const [name, seconds] of best) {
    console.log(`${name.padEnd(24)} ${seconds.toFixed(2)} s  ${(seconds / base).toFixed(2)} x raw`);
  }
}

if (image === undefined) {
  console.error('usage: npx tsx bench/flash.ts IMAGE.img [FOLDER] [ROUNDS]');
  process.exitCode = 2;
} else {
  await main(image);
}
