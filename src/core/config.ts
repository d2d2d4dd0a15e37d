import type { BaseSpec } from './plan.ts';

/** A validated configuration: every option has a value. A stage that is `false` is left out. */
export interface Config {
  readonly name: string;
  readonly base: BaseSpec;
  readonly stages: Readonly<Record<string, Readonly<Record<string, unknown>> | false>>;
}
