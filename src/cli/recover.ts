import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { Command } from 'commander';
import { EXIT, UserError } from '../core/errors.ts';
import { checkWritable, writeNew } from '../host/writable.ts';
import { portNumber } from './port.ts';
import type { Verb } from './program.ts';

interface Flags {
  readonly key: string;
  readonly identity?: string;
  readonly port?: number;
  readonly knownHosts?: string;
  readonly output?: string;
}

export const recoverVerb: Verb = (run, tool) =>
  new Command('recover')
    .summary('open the recovery bundle of a device, card or image')
    .description('Fetches the recovery bundle and decrypts it on this machine: sudo and web passwords, recovery key.')
    .argument('<where>', 'USER@ADDRESS, a card such as /dev/sdb, or an image of one')
    .requiredOption('--key <file>', 'the age or SSH private key that opens it')
    .option('--identity <file>', "with USER@ADDRESS: the administrator's SSH key (default: the key)")
    .option('--port <number>', 'with USER@ADDRESS: of SSH (default: 22)', portNumber)
    .option('--known-hosts <file>', 'with USER@ADDRESS: the file that `enroll` wrote')
    .option('-o, --output <file>', 'write it there, for you alone to read, instead of printing it')
    .addHelpText('after', '\nExample:\n  amslpr-image recover alex@192.0.2.10 --key recovery.key')
    .action(
      run(async (where: string, { output, ...flags }: Flags) => {
        if (output !== undefined) {
          if (existsSync(output)) throw new UserError(`${output} is there already: nothing is overwritten`);
          await checkWritable(dirname(output));
        }
        const { recover } = await import('../site/recover.ts');
        const text = await recover(where, flags);
        if (output === undefined) tool.print(`${text.trimEnd()}\n`);
        else {
          await writeNew(output, `${text.trimEnd()}\n`, 0o600);
          tool.log({ kind: 'notice', text: `${output} is written: delete it when the passwords are in your manager.` });
        }
        return EXIT.ok;
      }),
    );
