import { join } from 'node:path';
import { Command, Option } from 'commander';
import { loadPlan } from './load-plan.ts';
import type { Verb } from './program.ts';

export const auditVerb: Verb = (run, tool) =>
  new Command('audit')
    .summary('check a finished image')
    .description('Answers every check that an image file can answer, ours or not. Needs no privileges.')
    .argument('<image>', '.img, .img.zst or .img.xz')
    .option(
      '-c, --config <file>',
      'the configuration whose checks are asked (default: config/amslpr.yaml of the project)',
    )
    .addOption(new Option('--json', 'print the report as JSON').conflicts('junit'))
    .addOption(new Option('--junit', 'print the report as JUnit XML'))
    .addHelpText('after', '\nExample:\n  amslpr-image audit out/amslpr.img --junit > audit.xml')
    .action(
      run(async (image: string, { config, json, junit }: { config?: string; json?: true; junit?: true }) => {
        const { checks } = loadPlan(config ?? join(tool.root, 'config', 'amslpr.yaml'), tool);
        const audit = await import('../audit/report.ts');
        const report = await audit.auditImage(image, checks, tool.log, { signal: tool.signal });
        const render = json === true ? audit.jsonReport : junit === true ? audit.junitReport : audit.textReport;
        tool.print(render(report));
        return audit.auditExitCode(report);
      }),
    );
