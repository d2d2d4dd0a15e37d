import { giveTime } from '../clock.ts';
import { type Exception, notNeeded } from '../exceptions.ts';
import { type Figure, type Judge, judgedBy, type Measure } from '../figure.ts';

/** Lines of lynis's log that say how many of a test's points were not given: `TEST: 1 of 3 points`. */
export function lostPoints(log: string): string[] {
  let test = '';
  return log.split('\n').flatMap((line) => {
    test = /Performing test ID (\S+)/.exec(line)?.[1] ?? test;
    const [, given, of] = /assigned partial number of hardening points \((\d+) of (\d+)\)/.exec(line) ?? [];
    return given === undefined ? [] : [`${test}: ${given} of ${of} points`];
  });
}

/** Points given and points to be had: `288 of 323 points`. */
const sum = (log: string): string => {
  const [, given, of] = [...log.matchAll(/Currently having (\d+) points \(out of (\d+)\)/g)].at(-1) ?? [];
  return given === undefined ? 'no points' : `${given} of ${of} points`;
};

/**
 * What is read of lynis's report file, `KEY=VALUE` lines, and of its log. The index counts every point: `exceptions` say
 * of a test why its points are lost for good, and one whose test loses none is not needed, and fails.
 */
export function lynisFigures(report: string, log: string, exceptions: readonly Exception[], by: Judge): Figure[] {
  const all = (key: string): string[] =>
    report.split('\n').flatMap((line) => (line.startsWith(`${key}=`) ? [line.slice(key.length + 1)] : []));
  const index = Number(all('hardening_index')[0] ?? 0);
  const tests = all('lynis_tests_done')[0] ?? '0';
  const lines = (key: string): string[] => all(key).map((line) => line.split('|').slice(0, 3).join(' ').trim());
  const warnings = lines('warning[]');
  const lost = lostPoints(log);
  const idle = notNeeded(exceptions, (rule) => lost.some((line) => line.startsWith(`${rule}: `)));
  return [
    {
      id: 'lynis/index',
      title: 'Hardening index, no test left out',
      figure: `${index}, ${tests} tests, ${sum(log)}`,
      goal: '90 or more',
      met: index >= 90 && idle.length === 0,
      ...by,
      below: [...idle, ...(index >= 90 ? [] : [...lost, ...lines('suggestion[]')])],
    },
    {
      id: 'lynis/warnings',
      title: 'Warnings',
      figure: String(warnings.length),
      goal: '0',
      met: warnings.length === 0 && index > 0,
      ...by,
      below: warnings,
    },
  ];
}

export const lynis: Measure = {
  name: 'lynis',
  async run(scene) {
    await giveTime(scene);
    // It wants its files to belong to root and finds them beside itself. The report is read and removed.
    const report = await scene.root(
      `cd /run/score/lynis && sh ./lynis audit system --cronjob --no-plugins --profile ./default.prf \
        --log-file /run/lynis.log --report-file /run/lynis.dat >/run/lynis.out 2>&1 || true
      cat /run/lynis.dat`,
      3600,
    );
    const log = await scene.root(
      "grep -E 'Performing test ID|hardening points' /run/lynis.log; rm -f /run/lynis.dat /run/lynis.log /run/lynis.out",
    );
    return lynisFigures(report, log, scene.exceptions['lynis'] ?? [], judgedBy(scene, 'lynis'));
  },
};
