import type { Exceptions } from './exceptions.ts';
import type { Figure } from './figure.ts';
import { notesOf } from './notes.ts';

export interface TableInput {
  /** Heading of the page. */
  readonly title: string;
  /** What was measured: name of the image, digest of its plan. */
  readonly subject: string;
  readonly system: string;
  readonly machine: string;
  readonly day: string;
  readonly figures: readonly Figure[];
  readonly exceptions: Exceptions;
}

const verdict = ({ met }: Figure): string => (met === undefined ? '' : met ? 'met' : '**below**');
const cell = (text: string): string => text.replaceAll('|', '\\|');

/** The whole as a page of Markdown. */
export function scorePage(input: TableInput): string {
  const { figures, exceptions } = input;
  const rows = figures.map((one) =>
    [one.title, one.figure, one.goal ?? '', verdict(one), [one.tool, one.data ?? ''].filter(Boolean).join('; ')]
      .map(cell)
      .join(' | '),
  );
  const below = figures.filter((one) => one.met === false);
  const reasons = Object.entries(exceptions).flatMap(([scanner, list]) =>
    list.map(({ rule, profiles, reason }) => `| ${scanner} | \`${rule}\` | ${profiles.join(', ')} | ${cell(reason)} |`),
  );
  const notes = notesOf(figures);
  return [
    `# ${input.title}`,
    '',
    '<!-- Written by `ci/score IMAGE --page docs/scores.md`. Do not edit. -->',
    '',
    `What scanners that nobody here wrote say of ${input.subject}: ${input.system}, under QEMU's \`${input.machine}\`, provisioned, with its data open, on ${input.day}. The scanners are on a second disk and never installed. No figure is of a board, and none of Raspberry Pi's own kernel.`,
    '',
    '| measure | figure | goal | | tool, data |',
    '| --- | --- | --- | --- | --- |',
    ...rows.map((row) => `| ${row} |`),
    '',
    '## Below the goal',
    '',
    ...(below.length === 0 ? ['Nothing.'] : below.map((one) => `- ${one.title}: ${list(one.below)}`)),
    '',
    ...(notes.length === 0 ? [] : ['## Notes', '', ...notes.map((note) => `- ${note}`), '']),
    '## Exceptions',
    '',
    'Raw figures count every rule, and the index of lynis every point. An exception whose rule would pass, or that finds nothing to excuse, is an error of `ci/score`.',
    '',
    '| scanner | rule | profiles | reason |',
    '| --- | --- | --- | --- |',
    ...reasons,
    '',
  ].join('\n');
}

const list = (lines: readonly string[]): string =>
  lines.length === 0 ? 'see the figure.' : `${lines.map((line) => `\`${line.replaceAll('`', "'")}\``).join(', ')}.`;
