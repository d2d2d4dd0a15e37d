import { Command, Option } from 'commander';
import { EXIT } from '../core/errors.ts';
import type { InitSiteFlags } from '../site/init-site.ts';
import type { Verb } from './program.ts';

const several = (value: string, before: readonly string[] = []): string[] => [...before, value];

export const initSiteVerb: Verb = (run, tool) =>
  new Command('init-site')
    .summary('write a site file')
    .description('Writes a commented site file. Asks on a terminal for what the flags leave open.')
    .argument('[file]', 'the site file', 'site.yaml')
    .option('--name <name>', 'what people call the site')
    .option('--hostname <name>', 'host name of the device')
    .option('--timezone <zone>', 'for example Europe/Berlin')
    .addOption(
      new Option('--admin <name=keyfile>', 'an administrator and a public SSH key; again for more').argParser(several),
    )
    .addOption(new Option('--recipient <key>', 'an age or SSH key that opens the recovery bundle').argParser(several))
    .option('--new-recipient <file>', 'make an age key here, and use it')
    .option('--single-recipient-accepted <name>', 'who accepts that one key alone opens the bundle')
    .addOption(
      new Option('--tls-name <name>', 'a name or address for the certificate; again for more').argParser(several),
    )
    .option('--unlock <method>', 'how the data partition is opened')
    .option('--pin', 'with --unlock tpm2: a PIN is typed at each start')
    .option('--tang-url <url>', 'with --unlock tang: the server')
    .option('--tang-thumbprint <text>', 'with --unlock tang: of its signing key, by tang-show-keys')
    .option('--force', 'overwrite the file')
    .addHelpText('after', '\nExample:\n  amslpr-image init-site sites/north.yaml')
    .action(
      run(async (file: string, flags: InitSiteFlags) => {
        const { initSite } = await import('../site/init-site.ts');
        const { path, recoveryKey } = await initSite(file, flags, await tool.prompts());
        tool.log({ kind: 'notice', text: `${path} is written. Next: amslpr-image personalize IMAGE ${path} -o FILE` });
        if (recoveryKey !== undefined) {
          tool.log({
            kind: 'warning',
            text: `${recoveryKey} is the only copy of the recovery key: put it in a safe place.`,
          });
        }
        return EXIT.ok;
      }),
    );
