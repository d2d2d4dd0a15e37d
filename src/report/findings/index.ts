import { applicationFindings } from './application.ts';
import type { FindingSection } from './finding.ts';
import { silentFindings } from './silent.ts';
import { textFindings } from './text.ts';

/** What of the guide is wrong or missing, with our answers; docs/guide-coverage.md shows it below the items. */
export const findings: readonly FindingSection[] = [
  {
    title: 'What the application really does',
    about: 'The guide relies on parts of AMSLPR that are not there, or that do something else.',
    findings: applicationFindings,
  },
  {
    title: 'Where the text does not work',
    about: 'Commands of the guide that would break the system, do nothing, or contradict each other.',
    findings: textFindings,
  },
  {
    title: 'What the guide does not name',
    about: 'Without these its recommendations would not keep what they promise.',
    findings: silentFindings,
  },
];
