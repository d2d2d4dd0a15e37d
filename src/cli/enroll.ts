import { homedir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { EXIT } from '../core/errors.ts';
import { portNumber } from './port.ts';
import type { Verb } from './program.ts';

interface Flags {
  readonly enrolment?: string;
  readonly fingerprint?: string;
  readonly identity: string;
  readonly key?: string;
  readonly port?: number;
  readonly output: string;
}

export const enrollVerb: Verb = (run, tool) =>
  new Command('enroll')
    .summary('claim a device: its host key, its passwords')
    .description(
      'Makes sure by the enrolment token that HOST is the device that a card was written for, writes known_hosts and an ' +
        'ssh_config for it, opens its recovery bundle, proves that to the device, and prints the sudo password.',
    )
    .argument('<host>', 'USER@ADDRESS')
    .option('--enrolment <file>', 'the .enrol.json that `personalize` or `flash` wrote')
    .option('--fingerprint <text>', 'instead of it: SHA256:… of the host key, read from report.json on the card')
    .option('--identity <file>', "the administrator's SSH key", join(homedir(), '.ssh', 'id_ed25519'))
    .option('--key <file>', 'a key that opens the recovery bundle (default: the identity)')
    .option('--port <number>', 'of SSH (default: 22)', portNumber)
    .option('-o, --output <folder>', 'gets a folder for the device', 'devices')
    .addHelpText('after', '\nExample:\n  amslpr-image enroll alex@192.0.2.10 --enrolment north.img.enrol.json')
    .action(
      run(async (host: string, flags: Flags) => {
        const { enroll } = await import('../site/enroll.ts');
        const { report, folder, sudoPassword } = await enroll(host, flags);
        tool.log({
          kind: 'notice',
          text: `${report.name} is enrolled: ssh -F ${folder}/ssh_config ${report.hostname}`,
        });
        if (sudoPassword === undefined) {
          tool.log({ kind: 'notice', text: 'Its sudo password is the one whose hash the site file brought.' });
        } else {
          tool.log({ kind: 'notice', text: 'The bundle was opened, the device knows it; its sudo password:' });
          tool.print(`${sudoPassword}\n`);
        }
        return EXIT.ok;
      }),
    );
