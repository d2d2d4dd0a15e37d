import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readImage } from '../../audit/image.ts';
import { SECTOR } from '../../audit/mbr.ts';
import { StepError } from '../../core/errors.ts';
import { hostRunner } from '../../host/runner.ts';
import { PATIENCE } from '../../qemu/check.ts';
import { startGuest } from '../../qemu/guest.ts';
import type { Figure, Measure, Scene } from '../figure.ts';

/** What a system uses while nobody asks it for anything; emulated times say little of a board. */
export interface Cost {
  /** MiB. */
  readonly memory: number;
  readonly total: number;
  readonly processes: number;
  /** MB written to the card in an hour. */
  readonly written: number;
  /** Of the last start, as systemd tells it. */
  readonly boot: string;
}

/** Seconds that the system is left alone first, and that its writes are counted for. */
export const [REST, COUNTED] = [180, 300];

const SCRIPT = `sleep ${REST}
written() { awk '$3 == "vda" { print $10 }' /proc/diskstats; }
before=$(written); sleep ${COUNTED}; after=$(written)
memory=$(awk '/^Mem(Total|Available)/ { print $2 }' /proc/meminfo | xargs)
processes=$(ls -d /proc/[0-9]*/exe | xargs -n 1 readlink 2>/dev/null | wc -l)
echo "cost $memory $processes $before $after $(systemd-analyze time --no-pager | head -n 1)"
`;

/** Reads the line that the script printed; undefined while there is none. */
export function readCost(text: string): Cost | undefined {
  // On a console it may stand behind the prompt of a log-in.
  const [, total, free, processes, before, after, boot = ''] =
    /\bcost (\d+) (\d+) (\d+) (\d+) (\d+) (.*)$/m.exec(text.replaceAll('\r', '')) ?? [];
  if (after === undefined) return undefined;
  return {
    memory: Math.round((Number(total) - Number(free)) / 1024),
    total: Math.round(Number(total) / 1024),
    processes: Number(processes),
    written: ((Number(after) - Number(before)) * 512 * 3600) / COUNTED / 1e6,
    boot: boot.replace(/^Startup finished in /, ''),
  };
}

const UNIT = `[Unit]
After=multi-user.target
[Service]
ExecStart=/bin/sh /usr/lib/score-cost.sh
StandardOutput=tty
TTYPath=/dev/console
`;

/** The cost of an image that nobody can log in to: a copy of it gets a unit that tells it on the console. */
async function plainCost(image: string, folder: string): Promise<Cost> {
  const copy = join(folder, 'plain.img');
  await hostRunner.run(['cp', '--sparse=always', image, copy]);
  const root = (await readImage(image)).disk?.partitions.find(({ slot }) => slot === 2);
  if (root === undefined) throw new StepError(`${image} has no second partition`);
  const place = '/etc/systemd/system';
  const files = { 'score-cost.sh': SCRIPT, 'score-cost.service': UNIT };
  for (const [name, text] of Object.entries(files)) {
    await hostRunner.run(['sh', '-c', 'cat >"$1"', 'sh', join(folder, name)], { input: text });
  }
  const commands = [
    `write ${join(folder, 'score-cost.sh')} /usr/lib/score-cost.sh`,
    `write ${join(folder, 'score-cost.service')} ${place}/score-cost.service`,
    `symlink ${place}/multi-user.target.wants/score-cost.service ${place}/score-cost.service`,
  ];
  await hostRunner.run(['debugfs', '-w', '-f', '-', `${copy}?offset=${root.start * SECTOR}`], {
    input: `${commands.join('\n')}\n`,
  });
  await using guest = await startGuest(copy, { machine: 'virt' });
  const deadline = Date.now() + (PATIENCE.virt.ssh + REST + COUNTED) * 1000;
  while (Date.now() < deadline) {
    const found = readCost(await readFile(guest.console, 'latin1'));
    if (found !== undefined) return found;
    await sleep(5000);
  }
  throw new StepError(`${image} did not tell its cost on the console`);
}

/** Both, side by side; `plain` is absent when there is nothing to compare with. */
export function costFigures(own: Cost, plain: Cost | undefined): Figure[] {
  const row = (id: string, title: string, tool: string, text: (cost: Cost) => string): Figure => ({
    id: `cost/${id}`,
    title,
    figure: plain === undefined ? text(own) : `${text(own)}; without our stages ${text(plain)}`,
    tool,
    below: [],
  });
  return [
    row('memory', 'Memory in use', 'kernel', ({ memory, total }) => `${memory} of ${total} MiB`),
    row('processes', 'Processes', 'kernel', ({ processes }) => String(processes)),
    row('writes', 'Written to the card in an hour', 'kernel', ({ written }) => `${written.toFixed(1)} MB`),
    row('boot', 'Start, under emulation', 'systemd', ({ boot }) => boot),
  ];
}

export const cost: Measure = {
  name: 'cost',
  async run(scene: Scene) {
    const said = await scene.root(SCRIPT, REST + COUNTED + 300);
    const own = readCost(said);
    if (own === undefined)
      throw new StepError({ message: 'The guest did not tell its cost', hint: said.slice(0, 300) });
    return costFigures(own, scene.plain === undefined ? undefined : await plainCost(scene.plain, scene.guest.folder));
  },
};
