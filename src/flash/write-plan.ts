import type { BlockMap, MappedRange } from './bmap.ts';
import { endOf, type Range, union, without } from './ranges.ts';

/** One run of bytes to write, and read back. */
export type Segment =
  | (Range & { readonly kind: 'data' /** The range of the map that it is the end of. */; readonly of: MappedRange })
  | (Range & { readonly kind: 'zero' });

/** What goes onto the card. */
export interface WritePlan {
  /** Bytes at the start that are written last: the partition table and what is before the first partition. */
  readonly headSize: number;
  /** Everything else, ascending, without overlaps. */
  readonly body: readonly Segment[];
  /** Bytes that belong to nobody, in which writes can be tried. */
  readonly free: readonly Range[];
  readonly bytes: number;
}

const MEBIBYTE = 1024 * 1024;
/** A card whose first MiB is empty has no partition table, no boot code and no old GPT. */
export const HEAD = MEBIBYTE;
/** Where backup GPTs and RAID superblocks of a card's earlier life are. */
const TAIL = MEBIBYTE;

export interface PlanInput {
  readonly map: BlockMap;
  readonly targetSize: number;
  /** Runs that must read as zeros although the map leaves them out. */
  readonly zero: readonly Range[];
  /** Runs of the target that are zeros already: holes of a file. */
  readonly knownZero?: readonly Range[];
  /** A partition that is kept: nothing in it is touched. */
  readonly keep?: Range;
}

export function planWrite({ map, targetSize, zero, knownZero = [], keep }: PlanInput): WritePlan {
  const headSize = Math.min(HEAD, map.imageSize);
  const taken: Range[] = [{ start: 0, length: headSize }, ...map.ranges, ...(keep === undefined ? [] : [keep])];
  const data = map.ranges.flatMap((of): Segment[] => {
    const start = Math.max(of.start, headSize);
    return start >= endOf(of) ? [] : [{ kind: 'data', start, length: endOf(of) - start, of }];
  });
  const tailStart = Math.max(map.imageSize, targetSize - TAIL);
  const wanted = [...zero, { start: tailStart, length: Math.max(0, targetSize - tailStart) }];
  const zeros: Segment[] = [];
  for (const range of union(wanted)) {
    const inside = { start: range.start, length: Math.min(endOf(range), targetSize) - range.start };
    for (const left of without(inside, [...taken, ...knownZero])) zeros.push({ kind: 'zero', ...left });
  }
  const body = [...data, ...zeros].sort((a, b) => a.start - b.start);
  const beyond = { start: map.imageSize, length: Math.max(0, targetSize - map.imageSize) };
  return {
    headSize,
    body,
    free: without(beyond, [...taken, ...zeros]),
    bytes: body.reduce((sum, segment) => sum + segment.length, headSize),
  };
}
