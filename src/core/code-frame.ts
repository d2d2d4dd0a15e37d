/** Columns that are shown of a line: with numbers and margin they fit a terminal of 80. */
const ROOM = 66;

/** Up to two lines before the place, the line itself, and a caret below the column. Both count from 1. */
export function codeFrame(source: string, line: number, column = 1): string {
  const first = Math.max(1, line - 2);
  const width = String(line).length;
  const at = Math.max(column, 1);
  // Of a long line, what is around the place; its neighbours are cut alike.
  const left = at <= ROOM ? 0 : at - ROOM / 2;
  const shown = linesOf(source, first, line).map((text, index) => {
    const clean = text
      .replace(/\r$/, '')
      .replaceAll('\t', ' ')
      .slice(left, left + 160);
    return `${String(first + index).padStart(width)} | ${clean}`;
  });
  return [...shown, `${' '.repeat(width)} | ${' '.repeat(at - left - 1)}^`].join('\n');
}

/** Lines `from` to `to` without splitting the rest, which may be a megabyte of them. */
function linesOf(source: string, from: number, to: number): string[] {
  let start = 0;
  for (let line = 1; line < from; line += 1) {
    const end = source.indexOf('\n', start);
    if (end < 0) return [];
    start = end + 1;
  }
  const lines: string[] = [];
  for (let line = from; line <= to; line += 1) {
    const end = source.indexOf('\n', start);
    lines.push(source.slice(start, end < 0 ? undefined : end));
    if (end < 0) break;
    start = end + 1;
  }
  return lines;
}
