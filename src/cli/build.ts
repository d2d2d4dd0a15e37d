import { Command } from 'commander';
import { EXIT } from '../core/errors.ts';
import { loadPlan } from './load-plan.ts';
import { lockFileOf } from './lock.ts';
import type { Verb } from './program.ts';

interface Flags {
  readonly output: string;
  readonly release?: true;
  readonly dispatch: boolean;
  readonly compress: boolean;
  readonly fresh?: true;
  readonly keyring?: string;
}

export const buildVerb: Verb = (run, tool) =>
  new Command('build')
    .summary('build the image')
    .description('Builds the image and its companions from the lock file, and makes a lock file when there is none.')
    .argument('<file>', 'the configuration')
    .option('-o, --output <folder>', 'where everything is written', 'out')
    .option('--release', 'compress with xz too, and check what is cached by its content')
    .option('--no-compress', 'leave out the .img.zst')
    .option('--no-dispatch', "emulate every program of the image, and run none by the toolbox's native copy")
    .option('--fresh', 'make everything anew but packages and toolbox')
    .option('--keyring <file>', "keys that sign the archive's indexes (default: Debian's)")
    .addHelpText('after', '\nExample:\n  amslpr-image build config/amslpr.yaml -o out')
    .action(
      run(async (file: string, { output, release, dispatch, compress, fresh, keyring }: Flags) => {
        const plan = loadPlan(file, tool);
        const { build } = await import('../engine/build.ts');
        const options = {
          out: output,
          lockFile: lockFileOf(file),
          project: tool.root,
          signal: tool.signal,
          release: release === true,
          noDispatch: !dispatch,
          compress,
          fresh: fresh === true,
          ...(keyring === undefined ? {} : { keyring }),
        };
        const { image, sha256, files, failedChecks } = await build(plan, options, tool.log);
        for (const path of files) tool.log({ kind: 'notice', text: path });
        tool.log({ kind: 'notice', text: `${image} is built, SHA-256 ${sha256}.` });
        if (failedChecks === 0) return EXIT.ok;
        tool.log({
          kind: 'warning',
          text: `${failedChecks} checks fail; ${plan.name}.audit.txt beside it says which.`,
        });
        return EXIT.audit;
      }),
    );
