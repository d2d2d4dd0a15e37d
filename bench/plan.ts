import { join } from 'node:path';
import { hostRunner } from '../src/host/runner.ts';
import { compiled } from './compiled.ts';
import { configFile, project } from './context.ts';
import { percentile, seconds, timing } from './measure.ts';
import type { Row } from './row.ts';

const RUNS = 10;

export const plan: Row = {
  name: 'plan',
  work: '`plan` and `validate`, ten times each',
  async run() {
    await compiled();
    const arms: Record<string, ReturnType<typeof timing>> = {};
    for (const verb of ['plan', 'validate']) {
      const argv = ['node', join(project, 'dist/build.js'), verb, configFile];
      await hostRunner.run(argv);
      const taken: number[] = [];
      for (let run = 0; run < RUNS; run += 1) taken.push(await seconds(() => hostRunner.run(argv)));
      arms[verb] = timing(taken);
    }
    const figures = Object.entries(arms).map(([verb, { seconds: taken }]) => ({
      name: `${verb}, 90 of 100 within`,
      value: percentile(taken, 0.9),
      unit: 's' as const,
      goal: { atMost: 0.5 },
    }));
    return { arms, figures };
  },
};
