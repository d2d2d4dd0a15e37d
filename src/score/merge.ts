import { UserError } from '../core/errors.ts';
import type { Figure } from './figure.ts';
import { MEASURES, type ScoreReport } from './score.ts';

/** What `ci/score --json` writes. */
export interface StoredReport extends ScoreReport {
  /** Name of the image and digest of its plan. */
  readonly subject: string;
  readonly day: string;
}

/**
 * One report of several runs with other measures, so that a run that takes hours can be had in parts. Of a figure that is
 * there twice the later one counts. @throws UserError when they are not of one image and one kind of machine
 */
export function mergeReports(reports: readonly StoredReport[]): StoredReport {
  const [first, ...others] = reports;
  if (first === undefined) throw new UserError('There is no report to merge');
  for (const { subject, system, machine } of others) {
    if (subject === first.subject && system === first.system && machine === first.machine) continue;
    throw new UserError({
      message: `Reports of two images cannot be merged: ${first.subject} (${first.system}) and ${subject} (${system})`,
      hint: 'Run ci/score with --json once more for the measures that are missing.',
    });
  }
  const found = new Map<string, Figure>();
  for (const { figures } of reports) for (const figure of figures) found.set(figure.id, figure);
  const place = ({ id }: Figure): number => MEASURES.findIndex(({ name }) => `${id}/`.startsWith(`${name}/`));
  const figures = [...found.values()].sort((a, b) => place(a) - place(b));
  const days = [...new Set(reports.map(({ day }) => day))].sort();
  return { ...first, day: days.join(' and '), figures };
}
