import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { Command } from 'commander';
import { configText, type InitAnswers } from '../config/init.ts';
import { configFromText } from '../config/load.ts';
import { EXIT, UserError } from '../core/errors.ts';
import type { Prompts } from '../core/prompts.ts';
import { checkWritable, writeNew } from '../host/writable.ts';
import type { Verb } from './program.ts';
import type { Tool } from './tool.ts';

interface Flags {
  readonly name?: string;
  readonly hostname?: string;
  readonly sshPort?: string;
  readonly application?: string;
  readonly defaults?: true;
}

export const initVerb: Verb = (run, tool) =>
  new Command('init')
    .summary('write a configuration')
    .description('Writes a commented configuration of all stages. Asks on a terminal for what the flags leave open.')
    .argument('[file]', 'the configuration', 'amslpr.yaml')
    .option('--name <name>', "stem of the output files' names")
    .option('--hostname <name>', 'host name until a site file gives another one')
    .option('--ssh-port <port>', 'port of the SSH daemon')
    .option('--application <folder>', 'folder with the application (default: the stand-in)')
    .option('--defaults', 'ask nothing')
    .addHelpText('after', '\nExample:\n  amslpr-image init config/north.yaml --name north --ssh-port 2222')
    .action(
      run(async (file: string, flags: Flags) => {
        if (existsSync(file)) {
          throw new UserError({
            message: `${file} is there already`,
            hint: 'Give another name: nothing is overwritten.',
          });
        }
        await checkWritable(dirname(file));
        const prompts = flags.defaults === true ? undefined : await tool.prompts();
        const answers = answersOf(prompts === undefined ? flags : await ask(flags, prompts));
        const text = configText(tool.stages, answers, schemaReference(file, tool));
        // The flags' values are judged as any configuration is, before anything is written.
        configFromText(text, file, tool.stages);
        await mkdir(dirname(file), { recursive: true });
        await writeNew(file, text);
        tool.log({ kind: 'notice', text: `${file} is written. Next: amslpr-image plan ${file}` });
        return EXIT.ok;
      }),
    );

function schemaReference(file: string, tool: Tool): string {
  const path = relative(resolve(dirname(file)), join(tool.root, 'config', 'amslpr.schema.json'));
  return path.startsWith('.') ? path : `./${path}`;
}

function answersOf({ name = 'amslpr', hostname, sshPort, application }: Flags): InitAnswers {
  return {
    name,
    options: {
      ...(hostname === undefined ? {} : { 'base-system': { hostname } }),
      ...(sshPort === undefined ? {} : { sshd: { port: /^[0-9]+$/.test(sshPort) ? Number(sshPort) : sshPort } }),
      ...(application === undefined ? {} : { application: { source: resolve(application) } }),
    },
  };
}

async function ask(flags: Flags, prompts: Prompts): Promise<Flags> {
  const matches = (form: RegExp, say: string) => (answer: string) => (form.test(answer) ? undefined : say);
  const name =
    flags.name ??
    (await prompts.text({
      message: 'Name of the image',
      initial: 'amslpr',
      check: matches(/^[a-z0-9]([a-z0-9.-]{0,40}[a-z0-9])?$/, 'Lower-case letters, digits, dots and hyphens'),
    }));
  const hostname =
    flags.hostname ??
    (await prompts.text({
      message: 'Host name until a site file gives another one',
      initial: 'amslpr',
      check: matches(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, 'Lower-case letters, digits and hyphens'),
    }));
  const sshPort =
    flags.sshPort ??
    (await prompts.text({
      message: 'Port of the SSH daemon',
      initial: '22',
      check: (answer) => (/^[1-9][0-9]{0,4}$/.test(answer) && Number(answer) < 65536 ? undefined : '1 to 65535'),
    }));
  const application =
    flags.application ??
    (await prompts.text({
      message: 'Folder with the application (empty: the stand-in)',
      check: (answer) => (answer === '' || existsSync(answer) ? undefined : 'There is no such folder'),
    }));
  return { name, hostname, sshPort, ...(application === '' ? {} : { application }) };
}
