import type { Figure } from './figure.ts';
import { COUNTED, REST } from './measures/cost.ts';
import { UDP } from './measures/ports.ts';

/** How figures came about, where their line does not tell; each for the figures whose id begins so. */
const NOTES: readonly (readonly [id: string, note: string])[] = [
  [
    'cost/writes',
    `What is written in an hour is reckoned from ${COUNTED / 60} minutes, after ${REST / 60} minutes in which nobody asked the system for anything. What happens once a day is hardly ever in it.`,
  ],
  [
    'openscap/',
    'OpenSCAP is run without a tailoring file. The figure in front leaves out what the rules of the table below said in that run, the raw one counts them. With the file that `ci/score --tailoring FILE` writes, `oscap xccdf eval --tailoring-file` judges the same rules but these; another run in the guest would take as long again.',
  ],
  [
    'lynis/',
    'For lynis the second guest is a server of time, as a site’s network has one: the cable between the two guests leads nowhere else.',
  ],
  [
    'ports/ipv',
    `Of TCP all ports are scanned. Of UDP ${UDP.split(',').length} are, those of services that devices often have: ${UDP.replaceAll(',', ', ')}. A UDP port that says nothing counts as closed.`,
  ],
  [
    'headers/',
    'On 301, the redirect from plain HTTP, `Strict-Transport-Security` has to be absent: RFC 6797 (7.2) forbids it there. The other four have to be on it.',
  ],
];

/** The notes that concern these figures. */
export const notesOf = (figures: readonly Figure[]): string[] =>
  NOTES.filter(([id]) => figures.some((figure) => figure.id.startsWith(id))).map(([, note]) => note);
