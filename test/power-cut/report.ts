import { firstBootSteps } from '../../stages/first-boot/steps.ts';
import { repeated } from './judge.ts';
import { AFTER, BEFORE } from './marks.ts';
import type { Recording } from './record.ts';
import type { Result } from './try-points.ts';

const COLUMNS = ['step', 'flushes', 'points tried', 'of them random', 'unique cards', 'boots', 'failures'] as const;

export interface Report {
  /** A table in Markdown, and what it does not say. */
  readonly text: string;
  readonly failures: number;
  /** How often a device was started. */
  readonly boots: number;
}

/** What was found, by step. `results` are of all parts; `flushSteps` the step of each flush. */
export function report(results: readonly Result[], recording: Recording, flushSteps: readonly string[]): Report {
  const points = results.filter(({ point, look }) => !point.startsWith('chain') && look !== true);
  const looks = results.filter(({ look }) => look === true);
  const chains = results.filter(({ point }) => point.startsWith('chain'));
  const made = results.flatMap(({ identity }) => identity ?? []);
  const twice = repeated(made, recording.identity);
  const row = (name: string, all: readonly Result[], flushes: number): string =>
    [
      name,
      flushes,
      all.length,
      all.filter(({ point }) => point.includes('.')).length,
      new Set(all.map(({ state }) => state)).size,
      all.reduce((sum, { boots }) => sum + boots, 0),
      all.filter(({ wrong }) => wrong.length > 0).length,
    ].join(' | ');
  const steps = [...new Set(flushSteps)];
  const count = (step: string): number => flushSteps.filter((one) => one === step).length;
  const rows = steps.map((step) =>
    row(
      step,
      points.filter((one) => one.step === step),
      count(step),
    ),
  );
  const seconds = (whole: boolean): string => {
    const all = results.filter((one) => one.whole === whole && one.boots === 1).map((one) => one.seconds);
    return all.length === 0 ? 'none' : `${(all.reduce((sum, one) => sum + one, 0) / all.length).toFixed(0)} s`;
  };
  const cuts = chains.flatMap((one) => one.cuts ?? []);
  const kills = [BEFORE, ...firstBootSteps.map(({ name }) => name), AFTER]
    .map((phase) => `${phase} ${cuts.filter((one) => one === phase).length}`)
    .filter((text) => !text.endsWith(' 0'));
  const wholes = points.filter(({ whole }) => whole);
  const boots = results.reduce((sum, one) => sum + one.boots, 0);
  const failures = results.filter(({ wrong }) => wrong.length > 0);
  const text = [
    `| ${COLUMNS.join(' | ')} |`,
    `| ${COLUMNS.map((_, at) => (at === 0 ? '---' : '--:')).join(' | ')} |`,
    ...rows.map((one) => `| ${one} |`),
    `| ${row('all', points, flushSteps.length)} |`,
    '',
    `Flushes that leave different cards: ${new Set(recording.states).size} of ${recording.states.length}.`,
    `Unmodified image: ${wholes.length} points, in ${new Set(wholes.map(({ step }) => step)).size} of ${steps.length} lines.`,
    ...(looks.length === 0
      ? []
      : [
          `Looked at without a start: ${looks.length} points, ${looks.filter(({ point }) => point.includes('.')).length} of them random, ${new Set(looks.map(({ state }) => state)).size} different cards, ${looks.filter(({ wrong }) => wrong.length > 0).length} failures.`,
        ]),
    `Cards cut five times in a row: ${chains.length} (${cuts.length} cuts), ${chains.filter(({ wrong }) => wrong.length > 0).length} failures.`,
    ...(cuts.length === 0 ? [] : [`Those cuts by what the device was at: ${kills.join(', ')}.`]),
    `Mean time to ready: ${seconds(false)} with units masked, ${seconds(true)} without.`,
    `Keys made twice: ${twice.length === 0 ? 'none' : twice.join('; ')}.`,
    ...failures.map(({ point, step, wrong }) => `FAILED ${point} (${step}): ${wrong.join('; ')}`),
  ];
  return { text: `${text.join('\n')}\n`, failures: failures.length + twice.length, boots };
}
