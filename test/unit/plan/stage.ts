import type { Config } from '../../../src/core/config.ts';
import type { Contribution } from '../../../src/core/contribution.ts';
import { type AnyStage, defineStage, type StageContext, Type } from '../../../src/core/stage.ts';

/** A stage that contributes just this. */
export function stageOf(
  name: string,
  contribution: Contribution | ((context: StageContext) => Contribution),
  rest: Partial<Pick<AnyStage, 'needs' | 'collect'>> = {},
): AnyStage {
  return defineStage({
    name,
    title: `Do ${name}`,
    about: `About ${name}.`,
    guide: {},
    options: Type.Object({}, { additionalProperties: false }),
    contribute: (_options, context) => (typeof contribution === 'function' ? contribution(context) : contribution),
    ...rest,
  });
}

export const configOf = (stages: readonly AnyStage[]): Config => ({
  name: 'test',
  base: { kind: 'debian' },
  stages: Object.fromEntries(stages.map((stage) => [stage.name, {}])),
});
