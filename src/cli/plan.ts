import { join } from 'node:path';
import { Command } from 'commander';
import { EXIT } from '../core/errors.ts';
import { planChanges } from '../plan/changes.ts';
import { planText } from '../plan/print.ts';
import { readPlanRecord, recordOf } from '../plan/record.ts';
import { loadPlan } from './load-plan.ts';
import type { Verb } from './program.ts';

export const planVerb: Verb = (run, tool) =>
  new Command('plan')
    .summary('print what would be built')
    .description(
      'Prints what would be built, and what changed since the last build. Needs no privileges and no network.',
    )
    .argument('<file>', 'the configuration')
    .option('-o, --output <folder>', 'where the last build is', 'out')
    .option('--json', 'print the plan as JSON')
    .addHelpText('after', '\nExample:\n  amslpr-image plan config/amslpr.yaml')
    .action(
      run(async (file: string, options: { output: string; json?: true }) => {
        const record = recordOf(loadPlan(file, tool));
        if (options.json === true) {
          tool.print(`${JSON.stringify(record, null, 1)}\n`);
          return EXIT.ok;
        }
        const last = readPlanRecord(join(options.output, `${record.name}.plan.json`));
        tool.print(planText(record, tool.paint));
        tool.print(last === undefined ? '' : planChanges(last, record, tool.paint));
        return EXIT.ok;
      }),
    );
