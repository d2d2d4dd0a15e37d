import { Command } from 'commander';
import { EXIT } from '../core/errors.ts';
import { loadPlan } from './load-plan.ts';
import type { Verb } from './program.ts';

/** The lock of a configuration lies beside it: config/amslpr.yaml has config/amslpr.lock.yaml. */
export const lockFileOf = (config: string): string => `${config.replace(/\.ya?ml$/, '')}.lock.yaml`;

export const lockVerb: Verb = (run, tool) =>
  new Command('lock')
    .summary('refresh the lock file')
    .description('Writes down which version of every package the archives have today, with its digest.')
    .argument('<file>', 'the configuration')
    .option('--keyring <file>', "keys that sign the archive's indexes (default: Debian's)")
    .addHelpText('after', '\nExample:\n  amslpr-image lock config/amslpr.yaml')
    .action(
      run(async (file: string, { keyring }: { keyring?: string }) => {
        const plan = loadPlan(file, tool);
        const { writeLock } = await import('../engine/lock-file.ts');
        const lockFile = lockFileOf(file);
        const options = {
          lockFile,
          project: tool.root,
          signal: tool.signal,
          ...(keyring === undefined ? {} : { keyring }),
        };
        const lock = await writeLock(plan, options, tool.log);
        tool.log({ kind: 'notice', text: `${lockFile} is written: ${lock.image.packages.length} packages.` });
        return EXIT.ok;
      }),
    );
