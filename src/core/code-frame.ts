/** Up to two lines before the place, the line itself, and a caret below the column. Both count from 1. */
export function codeFrame(source: string, line: number, column = 1): string {
  const lines = source.split('\n');
  const first = Math.max(1, line - 2);
  const width = String(line).length;
  const shown = lines.slice(first - 1, line).map((text, index) => {
    const clean = text.replace(/\r$/, '').replaceAll('\t', ' ').slice(0, 160);
    return `${String(first + index).padStart(width)} | ${clean}`;
  });
  return [...shown, `${' '.repeat(width)} | ${' '.repeat(Math.min(Math.max(column, 1), 161) - 1)}^`].join('\n');
}
