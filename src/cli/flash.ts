import { Command } from 'commander';
import { EXIT, UserError } from '../core/errors.ts';
import type { FlashOptions } from '../flash/flash.ts';
import type { Verb } from './program.ts';

interface Flags {
  readonly site?: string;
  readonly sign?: string;
  readonly yes?: boolean;
  readonly eraseData?: boolean;
  readonly keepData?: boolean;
  readonly create?: string;
  readonly save?: string;
}

export const flashVerb: Verb = (run, tool) =>
  new Command('flash')
    .summary('write an image to a card and read it back')
    .description('Writes an image to a removable card (or a file), reads it back, and stamps a site onto it.')
    .argument('<image>', '.img, .img.zst or .img.xz; a .bmap beside it is used')
    .argument('[device]', 'the card, such as /dev/sdb, or a file; without it the cards are listed')
    .option('--site <file>', 'stamp this site file onto the card')
    .option('--sign <key>', 'sign the site file with this SSH key (ed25519), for an image with site.signers')
    .option('--yes', 'do not ask for the name of the device to be typed')
    .option('--erase-data', 'overwrite the encrypted data of a card that was used before')
    .option('--keep-data', 'leave the encrypted data of a card that was used before')
    .option('--create <size>', 'make DEVICE as a file of this size (8G) when it is not there')
    .option('--save <folder>', 'where the header and recovery bundles of a used card are saved', '.')
    .addHelpText('after', '\nExample:\n  sudo amslpr-image flash out/amslpr.img.zst /dev/sdb --site sites/north.yaml')
    .action(
      run(async (image: string, device: string | undefined, flags: Flags) => {
        if (flags.eraseData === true && flags.keepData === true) {
          throw new UserError('--erase-data and --keep-data cannot both be meant');
        }
        const { flash } = await import('../flash/flash.ts');
        const { parseSize } = await import('../flash/choose.ts');
        const { hostRunner } = await import('../host/runner.ts');
        const data = flags.eraseData === true ? 'erase' : flags.keepData === true ? 'keep' : undefined;
        const options: FlashOptions = {
          image,
          ...(device === undefined ? {} : { device }),
          ...(flags.site === undefined ? {} : { site: flags.site }),
          ...(flags.sign === undefined ? {} : { sign: flags.sign }),
          ...(flags.yes === undefined ? {} : { yes: flags.yes }),
          ...(flags.create === undefined ? {} : { create: parseSize(flags.create) }),
          ...(flags.save === undefined ? {} : { save: flags.save }),
          ...(data === undefined ? {} : { data }),
        };
        const prompts = await tool.prompts();
        const ask = (question: string) => prompts?.text({ message: question }) ?? Promise.resolve('');
        const result = await flash(options, {
          runner: hostRunner,
          log: tool.log,
          signal: tool.signal,
          ...(prompts === undefined ? {} : { ask }),
        });
        if (result.enrolment !== undefined) {
          tool.log({
            kind: 'notice',
            text: `Keep ${result.enrolment}: by it the device's first report is recognised.`,
          });
        }
        if (result.sshConfig !== undefined) {
          tool.log({ kind: 'notice', text: `The first log-in: ssh -F ${result.sshConfig} ADMIN@ADDRESS` });
        }
        return EXIT.ok;
      }),
    );
