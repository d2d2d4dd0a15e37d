import { giveTime } from '../clock.ts';
import { type Figure, type Measure, named } from '../figure.ts';

/** What is read of lynis's report file, `KEY=VALUE` lines. */
export function lynisFigures(report: string, tool: string): Figure[] {
  const all = (key: string): string[] =>
    report.split('\n').flatMap((line) => (line.startsWith(`${key}=`) ? [line.slice(key.length + 1)] : []));
  const index = Number(all('hardening_index')[0] ?? 0);
  const tests = all('lynis_tests_done')[0] ?? '0';
  const lines = (key: string): string[] => all(key).map((line) => line.split('|').slice(0, 3).join(' ').trim());
  const warnings = lines('warning[]');
  return [
    {
      id: 'lynis/index',
      title: 'Hardening index, no test left out',
      figure: `${index}, ${tests} tests`,
      goal: '90 or more',
      met: index >= 90,
      tool,
      below: index >= 90 ? [] : lines('suggestion[]'),
    },
    {
      id: 'lynis/warnings',
      title: 'Warnings',
      figure: String(warnings.length),
      goal: '0',
      met: warnings.length === 0 && index > 0,
      tool,
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
      `cd /run/score/lynis && sh ./lynis audit system --cronjob --no-log --no-plugins --profile ./default.prf \
        --report-file /run/lynis.dat >/run/lynis.out 2>&1 || true
      cat /run/lynis.dat; rm -f /run/lynis.dat /run/lynis.out`,
      3600,
    );
    return lynisFigures(report, named(scene, 'lynis'));
  },
};
