import { Command } from 'commander';
import { EXIT } from '../core/errors.ts';
import { isSiteFile } from '../site/recognize.ts';
import { loadPlan } from './load-plan.ts';
import type { Verb } from './program.ts';

export const validateVerb: Verb = (run, tool) =>
  new Command('validate')
    .summary('check a configuration or a site file')
    .description(
      'Checks a configuration or a site file and names everything that is wrong with it, each with its place.',
    )
    .argument('<file>', 'the configuration, or the site file')
    .addHelpText('after', '\nExample:\n  amslpr-image validate config/amslpr.yaml')
    .action(
      run(async (file: string) => {
        if (isSiteFile(file)) {
          const { validateSite } = await import('../site/validate.ts');
          const { name, hostname, unlock } = (await validateSite(file)).site;
          const text = `${file} is a valid site file: ${name}, host name ${hostname}, unlock method ${unlock.method}.`;
          tool.log({ kind: 'notice', text });
          return EXIT.ok;
        }
        const plan = loadPlan(file, tool);
        const sum = `${plan.stages.length} stages, ${plan.files.length} files, ${plan.checks.length} checks`;
        tool.log({ kind: 'notice', text: `${file} is valid: ${sum}.` });
        return EXIT.ok;
      }),
    );
