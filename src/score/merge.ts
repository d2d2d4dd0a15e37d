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
 * there twice the later one counts. `devices`: a report of another image, whose application has hardware to use; its row
 * about that is taken, as one of that image. @throws UserError when the others are not of one image and one kind of
 * machine, or `devices` has no such row
 */
export function mergeReports(reports: readonly StoredReport[], devices?: StoredReport): StoredReport {
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
  const opened = devices === undefined ? undefined : rowOf(devices, first);
  if (opened !== undefined) found.set(opened.id, opened);
  const place = ({ id }: Figure): number => MEASURES.findIndex(({ name }) => `${id}/`.startsWith(`${name}/`));
  const figures = [...found.values()].sort((a, b) => place(a) - place(b));
  const all = devices === undefined ? reports : [...reports, devices];
  const days = [...new Set(all.map(({ day }) => day))].sort();
  return { ...first, day: days.join(' and '), figures };
}

/** The row about the application's hardware, which says of which image it is. */
function rowOf({ subject, system, machine, figures }: StoredReport, first: StoredReport): Figure {
  const row = figures.find(({ id }) => id === 'units/devices');
  if (row === undefined || subject === first.subject) {
    throw new UserError({
      message: `The report of ${subject} has no row about the application’s hardware`,
      hint: 'Run ci/score --only units --json on an image with camera, gpio and serial on: ci/score names one.',
    });
  }
  if (system !== first.system || machine !== first.machine) {
    throw new UserError(`The application’s hardware was tried with ${system}, the rest with ${first.system}`);
  }
  return { ...row, title: `${row.title}, in ${subject}` };
}
