import { loadConfig } from '../config/load.ts';
import { UserError } from '../core/errors.ts';
import type { Plan } from '../core/plan.ts';
import { makePlan } from '../plan/plan.ts';
import type { Tool } from './tool.ts';

/** The plan of a configuration file. @throws UserError; problems between stages name the file at least. */
export function loadPlan(file: string, tool: Tool): Plan {
  const config = loadConfig(file, tool.stages);
  try {
    return makePlan(config, tool.stages, tool.root);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new UserError(
      error.problems.map((problem) => ({ where: { file }, ...problem })),
      { cause: error, exitCode: error.exitCode },
    );
  }
}
