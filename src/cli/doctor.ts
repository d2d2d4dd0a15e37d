import { Command } from 'commander';
import { EXIT } from '../core/errors.ts';
import type { Verb } from './program.ts';

export const doctorVerb: Verb = (run, tool) =>
  new Command('doctor')
    .summary('say what this host lacks')
    .description(
      'Tries what a build does on this host, one thing after the other, and says what mends each that fails.',
    )
    .addHelpText('after', '\nExample:\n  amslpr-image doctor')
    .action(
      run(async () => {
        const { openCache } = await import('../host/cache.ts');
        const { probeHost } = await import('../host/probes.ts');
        const probes = await probeHost(await openCache());
        for (const { title, ok, found, fix } of probes) {
          tool.print(
            `${ok ? 'ok  ' : 'FAIL'}  ${title}\n      | ${found}\n${fix === undefined ? '' : `      fix: ${fix}\n`}`,
          );
        }
        return probes.every(({ ok }) => ok) ? EXIT.ok : EXIT.failed;
      }),
    );
