import { silent } from '../src/core/log.ts';
import { build } from '../src/engine/build.ts';
import { raspiosImage } from '../test/image/raspios-image.ts';
import { withOutput } from './again.ts';
import { defaultPlan, lockFile, project } from './context.ts';
import { alternate, seconds } from './measure.ts';
import type { Row } from './row.ts';

export const raspios: Row = {
  name: 'raspios',
  work: 'from empty layers to the audited image: on the stand-in for Raspberry Pi OS, and on debian',
  extra: true,
  async run({ rounds, tell }) {
    const made = await raspiosImage('raspios');
    const cold = (plan: typeof made.plan, lock: string) => () =>
      withOutput((out) =>
        seconds(() => build(plan, { out, lockFile: lock, project, fresh: true, compress: false }, silent)),
      );
    const arms = await alternate(
      { debian: cold(defaultPlan(), lockFile), raspios: cold(made.plan, made.lockFile) },
      rounds,
      tell,
    );
    const [own, other] = [arms['raspios']?.median ?? Number.NaN, arms['debian']?.median ?? Number.NaN];
    return {
      arms,
      figures: [{ name: 'raspios / debian', value: own / other, unit: 'x', goal: { atMost: 1.5 } }],
      notes: ['packages, toolbox and the image of the base are at hand; nothing is compressed'],
    };
  },
};
