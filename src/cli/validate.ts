import { Command } from 'commander';
import { EXIT } from '../core/errors.ts';
import { loadPlan } from './load-plan.ts';
import type { Verb } from './program.ts';

export const validateVerb: Verb = (run, tool) =>
  new Command('validate')
    .summary('check a configuration')
    .description('Checks a configuration and names everything that is wrong with it, each with its place.')
    .argument('<file>', 'the configuration')
    .addHelpText('after', '\nExample:\n  amslpr-image validate config/amslpr.yaml')
    .action(
      run(async (file: string) => {
        const plan = loadPlan(file, tool);
        const sum = `${plan.stages.length} stages, ${plan.files.length} files, ${plan.checks.length} checks`;
        tool.log({ kind: 'notice', text: `${file} is valid: ${sum}.` });
        return EXIT.ok;
      }),
    );
