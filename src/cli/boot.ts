import { Command, Option } from 'commander';
import { EXIT, UserError } from '../core/errors.ts';
import type { MachineName } from '../qemu/machine.ts';
import type { Verb } from './program.ts';

interface BootFlags {
  readonly machine?: MachineName;
  readonly site?: string;
  readonly identity?: string;
  readonly check?: true;
  readonly json?: true;
  readonly junit?: true;
}

export const bootVerb: Verb = (run, tool) =>
  new Command('boot')
    .summary('boot an image in QEMU')
    .description('Boots a copy-on-write view of an image, with SSH and HTTPS forwarded to 127.0.0.1.')
    .argument('<image>', '.img, .img.zst or .img.xz')
    .addOption(
      new Option('--machine <name>', 'default: virt when the image has its drivers').choices(['virt', 'raspi3b']),
    )
    .option('--site <file>', 'a site file for it; --check makes one for this boot otherwise')
    .option('--check', 'run the checks that need a running device, and end')
    .option('--identity <file>', 'with --check and --site: private SSH key of the first admin')
    .addOption(new Option('--json', 'print the report of --check as JSON').conflicts('junit'))
    .addOption(new Option('--junit', 'print the report of --check as JUnit XML'))
    .addHelpText('after', '\nExample:\n  amslpr-image boot out/amslpr.img --check')
    .action(
      run(async (image: string, { check, json, junit, ...flags }: BootFlags) => {
        const { log, signal } = tool;
        if (check !== true) {
          const stray = [json && '--json', junit && '--junit', flags.identity && '--identity'].filter(Boolean);
          if (stray.length > 0) throw new UserError(`${stray.join(' and ')} mean nothing without --check`);
          const { boot } = await import('../qemu/boot.ts');
          await boot(image, { ...flags, log, signal, interactive: process.stdin.isTTY && process.stdout.isTTY });
          return EXIT.ok;
        }
        const { checkBooted } = await import('../qemu/check.ts');
        const audit = await import('../audit/report.ts');
        const report = await checkBooted(image, { ...flags, log, signal });
        const render = json === true ? audit.jsonReport : junit === true ? audit.junitReport : audit.textReport;
        tool.print(render(report));
        return audit.auditExitCode(report);
      }),
    );
