import { Command } from 'commander';
import { EXIT } from '../core/errors.ts';
import type { Verb } from './program.ts';

export const personalizeVerb: Verb = (run, tool) =>
  new Command('personalize')
    .summary('stamp a site onto a copy of an image')
    .description('Checks a site file and writes a copy of the image that carries it.')
    .argument('<image>', '.img or .img.zst')
    .argument('<site>', 'the site file')
    .option('--sign <key>', 'sign the site file with this SSH key (ed25519), for an image with site.signers')
    .requiredOption('-o, --output <file>', 'the image to write')
    .addHelpText('after', '\nExample:\n  amslpr-image personalize out/amslpr.img sites/north.yaml -o north.img')
    .action(
      run(async (image: string, site: string, { output, sign }: { output: string; sign?: string }) => {
        const { personalize } = await import('../site/personalize.ts');
        const result = await personalize(image, site, output, {
          signal: tool.signal,
          ...(sign === undefined ? {} : { sign }),
        });
        tool.log({ kind: 'notice', text: `${result.out} is written, for one card only.` });
        tool.log({ kind: 'notice', text: `Keep ${result.enrolment}: by it the device's first report is recognised.` });
        const admin = result.site.site.admins[0]?.name;
        tool.log({ kind: 'notice', text: `The first log-in: ssh -F ${result.sshConfig} ${admin}@ADDRESS` });
        return EXIT.ok;
      }),
    );
