import type { Logged } from './write-log.ts';

/** When a step began, by the console: seconds, and how many bytes the log of writes had. */
export interface Mark {
  readonly step: string;
  readonly logBytes: number;
  readonly seconds: number;
}

/** What is known of a guest at one moment. */
export interface Seen {
  readonly console: string;
  readonly logBytes: number;
  readonly seconds: number;
}

// The space is the line's end: of a line that is half written the name may be half one.
const STEP = /amslpr: (?:\S+: )?(?:working at ([a-z-]+)|(ready))\s/g;
const READY = /amslpr: (?:\S+: )?ready\s/;

/** What a boot did that had not yet begun the first step, or that had said that it is ready. */
export const [BEFORE, AFTER] = ['before the first step', 'after ready'] as const;

/** The steps that a console names, up to the step `ready`; where there is none, up to the word itself. */
export function stepsSaid(console: string): string[] {
  const said = [...console.matchAll(STEP)].map(([, step, ready]) => step ?? ready ?? '');
  return said.slice(0, said.includes('ready') ? said.indexOf('ready') + 1 : said.length);
}

/** What was under way at the end of a console. */
export const phaseOf = (console: string): string =>
  READY.test(console) ? AFTER : (stepsSaid(console).at(-1) ?? BEFORE);

/** Adds the steps that a console names and that had no mark yet. */
export function addMarks(marks: Mark[], { console, logBytes, seconds }: Seen): void {
  if (marks.some(({ step }) => step === 'ready')) return;
  for (const step of stepsSaid(console).slice(marks.length)) marks.push({ step, logBytes, seconds });
}

/**
 * Names the step that was under way at a byte of the log. Steps between whose marks no flush lies cannot be cut apart:
 * they have one name together.
 */
export function stepsOf(marks: readonly Mark[], log: readonly Logged[]): (logBytes: number) => string {
  const ends = log.filter(({ entry }) => entry.kind === 'flush').map(({ end }) => end);
  const groups = [{ step: 'start', logBytes: 0 }];
  // The card that was never started is of the start.
  let parted = true;
  for (const [at, { step, logBytes }] of marks.entries()) {
    const last = groups.at(-1);
    if (parted || last === undefined) groups.push({ step, logBytes });
    else last.step += `, ${step}`;
    const next = marks[at + 1]?.logBytes ?? Number.POSITIVE_INFINITY;
    parted = ends.some((end) => end >= logBytes && end < next);
  }
  return (logBytes) => groups.filter((group) => group.logBytes <= logBytes).at(-1)?.step ?? 'start';
}

/** Whether a name that `stepsOf` gave has this step in it. */
export const names = (together: string, step: string): boolean => together.split(', ').includes(step);
