/**
 * How long flashing takes, against the least that it can take:
 *
 *     npx tsx bench/flash.ts IMAGE.img [--folder DIR] [--rounds 3] [--json]
 *
 * Each round runs, one after the other and each onto a new sparse file in DIR: raw (the mapped ranges are written and
 * read back, with the transfers and the direct I/O that flash uses), dd (the same ranges by dd with oflag=direct and
 * iflag=direct), bmaptool where there is one (it writes only), and flash. The goal is flash <= 1.05 x raw. Ratios are
 * taken inside a round, since a disk's speed drifts; the median of all rounds is given with least and most.
 */
import { open, rm, truncate, writeFile } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { silent } from '../src/core/log.ts';
import { alignedBuffer } from '../src/flash/aligned.ts';
import type { BlockMap } from '../src/flash/bmap.ts';
import { flash } from '../src/flash/flash.ts';
import { CHUNK, chunks } from '../src/flash/pipeline.ts';
import { openSource } from '../src/flash/source.ts';
import { openTarget } from '../src/flash/target.ts';
import { hostRunner } from '../src/host/runner.ts';

const GOAL = 1.05;

interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): number => sorted[Math.floor(share * (sorted.length - 1))] ?? Number.NaN;
  return {
    median: (at(0.5) + (sorted[Math.ceil((sorted.length - 1) / 2)] ?? Number.NaN)) / 2,
    least: at(0),
    most: at(1),
  };
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}

async function freshFile(path: string, size: number): Promise<void> {
  await rm(path, { force: true });
  await writeFile(path, '');
  await truncate(path, size);
  // What the arm before left to be written is not this one's to pay for.
  await hostRunner.run(['sync']);
}

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
    await run([
      `if=${from}`,
      `of=${to}`,
      ...places,
      'iflag=skip_bytes,count_bytes',
      'oflag=direct,seek_bytes',
      'conv=notrunc',
    ]);
  }
  await hostRunner.run(['sync', '-d', to]);
  for (const { start, length } of map.ranges) {
    await run([`if=${to}`, 'of=/dev/null', `skip=${start}`, `count=${length}`, 'iflag=direct,skip_bytes,count_bytes']);
  }
}

const hasBmaptool = (): Promise<boolean> =>
  hostRunner.run(['bmaptool', '--version']).then(
    () => true,
    () => false,
  );

async function main(from: string, folder: string, rounds: number, json: boolean): Promise<void> {
  const { map, origin } = await openSource(from, hostRunner);
  const card = join(folder, `flash-bench-${process.pid}.img`);
  const arms = new Map<string, () => Promise<unknown>>([
    ['raw', () => raw(from, card, map)],
    ['dd', () => dd(from, card, map)],
    ['flash', () => flash({ image: from, device: card, yes: true }, { runner: hostRunner, log: silent })],
  ]);
  if (await hasBmaptool()) arms.set('bmaptool, writes only', () => hostRunner.run(['bmaptool', 'copy', from, card]));
  const load = [loadavg()[0] ?? 0];
  const seconds = new Map([...arms.keys()].map((name): [string, number[]] => [name, []]));
  // The image is in memory for all arms, or for none.
  await hostRunner.run(['dd', `if=${from}`, 'of=/dev/null', 'bs=4M', 'status=none']);
  try {
    for (let round = 0; round < rounds; round++) {
      // Every other round goes backwards, so that no arm always follows the same one.
      for (const [name, work] of round % 2 === 0 ? arms : [...arms].reverse()) {
        await freshFile(card, map.imageSize);
        seconds.get(name)?.push(await timed(work));
      }
    }
  } finally {
    await rm(card, { force: true });
  }
  load.push(loadavg()[0] ?? 0);
  const base = seconds.get('raw') ?? [];
  const results = [...seconds].map(([name, all]) => ({
    name,
    seconds: spread(all),
    toRaw: spread(all.map((value, round) => value / (base[round] ?? Number.NaN))),
  }));
  const mapped = map.ranges.reduce((sum, range) => sum + range.length, 0);
  const ratio = results.find(({ name }) => name === 'flash')?.toRaw.median ?? Number.NaN;
  const ok = ratio <= GOAL;
  if (json) {
    console.log(
      JSON.stringify({
        image: from,
        mapped,
        size: map.imageSize,
        map: origin,
        rounds,
        load,
        goal: GOAL,
        ratio,
        ok,
        results,
      }),
    );
    return;
  }
  const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`;
  console.log(
    `${megabytes(mapped)} mapped of ${megabytes(map.imageSize)} (map: ${origin}), ${rounds} rounds, load ${load.map((value) => value.toFixed(1)).join(' to ')}`,
  );
  const text = ({ median, least, most }: Spread): string =>
    `${median.toFixed(2)} (${least.toFixed(2)} to ${most.toFixed(2)})`;
  for (const { name, seconds: time, toRaw } of results) {
    console.log(`${name.padEnd(22)} ${text(time).padEnd(24)} s   ${text(toRaw)} x raw`);
  }
  console.log(`flash takes ${ratio.toFixed(3)} x raw; the goal is ${GOAL} at most: ${ok ? 'met' : 'NOT met'}`);
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    folder: { type: 'string', default: tmpdir() },
    rounds: { type: 'string', default: '3' },
    json: { type: 'boolean', default: false },
  },
});
const [image] = positionals;
if (image === undefined || !(Number(values.rounds) >= 1)) {
  console.error('usage: npx tsx bench/flash.ts IMAGE.img [--folder DIR] [--rounds 3] [--json]');
  process.exitCode = 2;
} else {
  await main(image, values.folder, Number(values.rounds), values.json);
}
