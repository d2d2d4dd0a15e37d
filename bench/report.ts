import { type Figure, isMet, type Outcome } from './row.ts';

/** Where and on what the figures were taken. No names: of host or person. */
export interface Circumstances {
  readonly host: string;
  readonly kernel: string;
  readonly versions: Readonly<Record<string, string>>;
  readonly commit: string;
  readonly quick: boolean;
}

export interface FinishedRow extends Outcome {
  readonly row: string;
  readonly work: string;
  readonly finished: string;
  /** Load average of the last minute, before and after. */
  readonly load: readonly [before: number, after: number];
  readonly rounds: number;
}

export interface Results {
  readonly circumstances: Circumstances;
  readonly rows: readonly FinishedRow[];
}

const number = (value: number): string => (value < 10 ? value.toFixed(2) : value.toFixed(1));

function figureText(figure: Figure): string {
  const { name, value, unit, goal } = figure;
  const limit =
    goal === undefined
      ? ''
      : 'atMost' in goal
        ? ` (goal: at most ${goal.atMost})`
        : ` (goal: at least ${goal.atLeast})`;
  const met = isMet(figure);
  const mark = met === undefined ? '' : met ? ' ✓' : ' ✗';
  return `${name}: ${value === undefined ? 'not in this run' : `${number(value)} ${unit}`}${limit}${mark}`;
}

/** The table of docs/performance.md, in Markdown. */
export function table({ circumstances, rows }: Results): string {
  const { host, kernel, versions, quick } = circumstances;
  const software = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  const lines = rows.map(({ work, arms, figures, load, rounds }) => {
    const times = Object.entries(arms).map(
      ([name, { median, spread }]) => `${name} ${number(median)} s (±${Math.round((spread * 100) / 2)} %)`,
    );
    const both = load.map((one) => one.toFixed(1)).join(' to ');
    return `| ${work} | ${times.join('<br>')} | ${figures.map(figureText).join('<br>')} | ${rounds} | ${both} |`;
  });
  return [
    `${host}; kernel ${kernel}; ${software.join(', ')}${quick ? '; smaller work (`--quick`)' : ''}.`,
    '',
    '| work | median (half the spread) | figures | rounds | load |',
    '| --- | --- | --- | --- | --- |',
    ...lines,
    '',
    ...rows.flatMap(({ row, notes = [] }) => notes.map((note) => `- ${row}: ${note}`)),
  ].join('\n');
}
