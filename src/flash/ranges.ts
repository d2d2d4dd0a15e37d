/** A run of bytes. */
export interface Range {
  readonly start: number;
  readonly length: number;
}

export const endOf = (range: Range): number => range.start + range.length;

/** What of `range` is in none of `taken`, ascending. `taken` may be in any order. */
export function without(range: Range, taken: readonly Range[]): Range[] {
  const left: Range[] = [];
  let at = range.start;
  for (const other of [...taken].sort((a, b) => a.start - b.start)) {
    if (endOf(other) <= at) continue;
    if (other.start >= endOf(range)) break;
    if (other.start > at) left.push({ start: at, length: other.start - at });
    at = endOf(other);
  }
  if (at < endOf(range)) left.push({ start: at, length: endOf(range) - at });
  return left;
}

export const overlaps = (a: Range, b: Range): boolean => a.start < endOf(b) && b.start < endOf(a);

/** The same bytes as few ascending runs that do not touch. */
export function union(ranges: readonly Range[]): Range[] {
  const merged: Range[] = [];
  for (const range of [...ranges].sort((a, b) => a.start - b.start)) {
    const last = merged.at(-1);
    if (last === undefined || range.start > endOf(last)) merged.push({ start: range.start, length: range.length });
    else merged[merged.length - 1] = { start: last.start, length: Math.max(endOf(last), endOf(range)) - last.start };
  }
  return merged.filter((range) => range.length > 0);
}
