import { Value } from 'typebox/value';
import type { Config } from '../../../src/core/config.ts';
import type { AnyStage } from '../../../src/core/stage.ts';
import { FORMS } from '../../../src/core/values.ts';
import { stages } from '../../../stages/index.ts';

type Options = Config['stages'];

const EXAMPLES = new Map<string, string>(Object.values(FORMS).map(([pattern, example]) => [pattern, example]));

/** All stages with their defaults. */
export const defaults = (): Options =>
  Object.fromEntries(stages.map((stage) => [stage.name, Value.Create(stage.options) as Record<string, unknown>]));

/**
 * Sets of options that together take every branch of every stage: the defaults, and for each option each of its
 * alternatives, the others being defaults.
 */
export function* optionsToTry(): Generator<Options> {
  yield defaults();
  for (const stage of stages) {
    for (const [name, schema] of Object.entries(stage.options.properties)) {
      for (const value of alternatives(stage, name, schema)) {
        const all = defaults();
        yield { ...all, [stage.name]: { ...(all[stage.name] as object), [name]: value } };
      }
    }
  }
}

function alternatives(stage: AnyStage, name: string, schema: unknown): unknown[] {
  const { type, anyOf, minimum, maximum, pattern, items } = schema as {
    type?: string;
    anyOf?: { const: unknown }[];
    minimum?: number;
    maximum?: number;
    pattern?: string;
    items?: { pattern?: string };
  };
  if (anyOf !== undefined) return anyOf.map((one) => one.const);
  if (type === 'boolean') return [true, false];
  if (type === 'integer') return [minimum, maximum];
  if (type === 'array') return [[EXAMPLES.get(items?.pattern ?? '')]];
  if (`${stage.name}.${name}` === 'application.source')
    return [new URL('../../../standin/app', import.meta.url).pathname];
  return [EXAMPLES.get(pattern ?? '')];
}
