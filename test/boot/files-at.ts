import { type Partition, SECTOR } from '../../src/audit/mbr.ts';
import { hostRunner } from '../../src/host/runner.ts';

/**
 * Which files of an ext4 file system have what lies at some bytes of a card: by block and inode, as debugfs reads them.
 * Blocks that no file has (free ones, the journal) have none.
 */
export async function filesAt(
  card: string,
  { start, sectors }: Partition,
  offsets: readonly number[],
): Promise<(offset: number) => readonly string[]> {
  const first = start * SECTOR;
  const within = offsets.filter((at) => at >= first && at < first + sectors * SECTOR);
  if (within.length === 0) return () => [];
  // A card whose power went may have the superblock of the middle of a change, with a checksum of before: -n reads it.
  const run = (request: string) =>
    hostRunner.run(['debugfs', '-n', '-R', request, `${card}?offset=${first}`], { timeout: 300 });
  const ask = async (request: string): Promise<string> => (await run(request)).stdout;
  /** Number to text of each line of a table. */
  const table = (text: string): (readonly [number, string])[] =>
    [...text.matchAll(/^(\d+)\s+(.+)$/gm)].map(([, number = '', rest = '']) => [Number(number), rest]);

  const { stdout, stderr } = await run('stats -h');
  const size = Number(/^Block size:\s+(\d+)$/m.exec(stdout)?.[1]);
  if (!(size > 0)) throw new Error(`${card}: no ext4 file system in partition of sector ${start}: ${stderr}`);
  const blockOf = (at: number): number => Math.floor((at - first) / size);
  const blocks = [...new Set(within.map(blockOf))];
  const inodes = new Map<number, number>();
  for (const [block, inode] of table(await ask(`icheck ${blocks.join(' ')}`))) {
    if (/^\d+$/.test(inode)) inodes.set(block, Number(inode));
  }
  const paths = new Map<number, string[]>();
  if (inodes.size > 0) {
    for (const [inode, path] of table(await ask(`ncheck ${[...new Set(inodes.values())].join(' ')}`)))
      paths.set(inode, [...(paths.get(inode) ?? []), path.replace(/^\/*/, '/')]);
  }
  return (offset) => paths.get(inodes.get(blockOf(offset)) ?? -1) ?? [];
}
