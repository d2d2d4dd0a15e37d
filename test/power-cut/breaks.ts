import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hostRunner } from '../../src/host/runner.ts';
import { partitionsOf } from './parts.ts';
import { SECTOR } from './write-log.ts';

interface Break {
  readonly file: string;
  /** What is taken out, and what comes in its place. */
  readonly from: string;
  readonly to: string;
}

/** What a test takes out of the image's copy, to see that a run finds it. */
const BREAKS = {
  /** The SSH host key is renamed into its place without its content being on the card. */
  'fsync-host-keys': {
    file: 'steps/host_key.py',
    from: "    with path.open('rb') as file:\n        os.fsync(file.fileno())\n",
    to: '    pass\n',
  },
} as const satisfies Record<string, Break>;

export type BreakName = keyof typeof BREAKS;
export const breakNames = Object.keys(BREAKS) as BreakName[];

const PLACE = '/usr/lib/amslpr/amslpr_device';

/** Alters a raw card. @throws Error when the program is not as it was when the break was written */
export async function applyBreak(card: string, name: BreakName, folder: string): Promise<void> {
  const { file, from, to } = BREAKS[name];
  const root = (await partitionsOf(card)).get(2);
  if (root === undefined) throw new Error(`${card} has no second partition`);
  const target = `${card}?offset=${root.start * SECTOR}`;
  const path = `${PLACE}/${file}`;
  const copy = join(folder, 'broken.py');
  await hostRunner.run(['debugfs', '-R', `dump ${path} ${copy}`, target]);
  const text = await readFile(copy, 'utf8');
  if (!text.includes(from)) throw new Error(`${path} does not have what ${name} takes out`);
  await writeFile(copy, text.replace(from, to));
  const input = `rm ${path}\nwrite ${copy} ${path}\nset_inode_field ${path} mode 0100644\nset_inode_field ${path} uid 0\nset_inode_field ${path} gid 0\n`;
  await hostRunner.run(['debugfs', '-w', '-f', '-', target], { input });
  const check = await hostRunner.run(['debugfs', '-R', `cat ${path}`, target]);
  if (check.stdout.includes(from) || !check.stdout.includes(to.trim())) throw new Error(`${path} was not changed`);
}
