import { access, mkdir, readFile, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { type Problem, StepError, UserError } from '../core/errors.ts';
import type { Prompts } from '../core/prompts.ts';
import { hostRunner } from '../host/runner.ts';
import { checkWritable, writeNew } from '../host/writable.ts';
import { type SiteAnswers, siteText } from './site-text.ts';
import { shownName, unlockMatrix, unlockMethods } from './unlock-methods.ts';
import { validateSiteText } from './validate.ts';

/** Flags of `init-site`, as they were typed. */
export interface InitSiteFlags {
  readonly name?: string;
  readonly hostname?: string;
  readonly timezone?: string;
  /** `NAME=KEYFILE`, a public key file; the same name may come again with another key. */
  readonly admin?: readonly string[];
  readonly recipient?: readonly string[];
  /** Makes an age key here (0600) and uses its public half as a recipient. */
  readonly newRecipient?: string;
  readonly singleRecipientAccepted?: string;
  readonly tlsName?: readonly string[];
  readonly unlock?: string;
  /** With `tpm2`: a PIN is typed at each start. */
  readonly pin?: boolean;
  readonly tangUrl?: string;
  readonly tangThumbprint?: string;
  /** Overwrites FILE. */
  readonly force?: boolean;
}

export interface InitSiteResult {
  readonly path: string;
  /** Where the new recovery key is: the only copy. */
  readonly recoveryKey?: string;
}

const HOSTNAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/**
 * Writes a commented site file that validates. With `prompts` it asks for what the flags leave open; without, whatever
 * has no default must come by flag.
 * @throws UserError naming every flag that is missing or wrong, or what the validator refuses
 */
export async function initSite(path: string, flags: InitSiteFlags, prompts?: Prompts): Promise<InitSiteResult> {
  if (flags.force !== true && (await isThere(path))) {
    throw new UserError({ message: `${path} is there already`, hint: 'Give another name, or --force.' });
  }
  if (flags.newRecipient !== undefined && (await isThere(flags.newRecipient))) {
    throw new UserError({ message: `${flags.newRecipient} is there already`, hint: 'A key is never overwritten.' });
  }
  await checkWritable(dirname(path));
  const complete = prompts === undefined ? flags : await ask(flags, prompts);
  const answers = await answersFrom(complete);
  // The file is judged before a key is made, with a stand-in for the key, so that a refusal leaves nothing behind.
  const { newRecipient } = complete;
  await validateSiteText(siteText(newRecipient === undefined ? answers : withRecipient(answers, STAND_IN)), path);
  await mkdir(dirname(path), { recursive: true });
  const made = newRecipient === undefined ? undefined : await makeAgeKey(newRecipient);
  const text = siteText(made === undefined ? answers : withRecipient(answers, made));
  await validateSiteText(text, path);
  if (flags.force === true) await rm(path, { force: true });
  // 0600, since the file may come to hold a Wi-Fi password.
  await writeNew(path, text, 0o600);
  return { path, ...(newRecipient === undefined ? {} : { recoveryKey: newRecipient }) };
}

/** A well-formed recipient that nobody uses: the public half of a key that was thrown away. */
const STAND_IN = 'age1uvg6n2mnvjcfhce3xhves2gffdftf9nk4lv7ds0qx7anvjtkdq5qxgtdud';

const withRecipient = (answers: SiteAnswers, recipient: string): SiteAnswers => ({
  ...answers,
  recipients: [...answers.recipients, recipient],
});

const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

async function answersFrom(flags: InitSiteFlags): Promise<SiteAnswers> {
  const problems: Problem[] = [];
  const need = (flag: string, value: string | undefined, hint: string): string => {
    if (value === undefined) problems.push({ message: `--${flag} is missing`, hint });
    return value ?? '';
  };
  const name = need('name', flags.name, 'What people call the site, for example: --name gate-north');
  const unlock = need('unlock', flags.unlock, `One of:\n${describeMethods()}`);
  if (flags.unlock !== undefined && !unlockMethods.some(({ method }) => method === flags.unlock)) {
    problems.push({ message: `--unlock ${flags.unlock} is no method`, hint: `One of:\n${describeMethods()}` });
  }
  const tang = tangFrom(flags, problems);
  if ((flags.admin ?? []).length === 0) {
    problems.push({ message: '--admin is missing', hint: 'For example: --admin alex=~/.ssh/id_ed25519.pub' });
  }
  const admins = await readAdmins(flags.admin ?? [], problems);
  const hostname = flags.hostname ?? hostnameFrom(name);
  if (problems.length > 0) throw new UserError(problems);
  return {
    name,
    hostname,
    timezone: flags.timezone ?? 'UTC',
    admins,
    recipients: flags.recipient ?? [],
    tlsNames: flags.tlsName ?? [],
    unlock,
    ...(flags.pin === true ? { pin: true } : {}),
    ...(tang === undefined ? {} : { tang }),
    ...(flags.singleRecipientAccepted === undefined ? {} : { singleRecipientAccepted: flags.singleRecipientAccepted }),
  };
}

const describeMethods = (): string =>
  unlockMethods.map((known) => `  ${shownName(known)}\n    ${known.lines.join('\n    ')}`).join('\n');

function tangFrom(flags: InitSiteFlags, problems: Problem[]): SiteAnswers['tang'] {
  const { unlock, tangUrl: url, tangThumbprint: thumbprint } = flags;
  if (flags.pin === true && unlock !== 'tpm2') problems.push({ message: '--pin is for --unlock tpm2 only' });
  if (unlock !== 'tang') {
    const stray = url === undefined ? (thumbprint === undefined ? undefined : 'thumbprint') : 'url';
    if (stray !== undefined) problems.push({ message: `--tang-${stray} is for --unlock tang only` });
    return undefined;
  }
  if (url === undefined) {
    problems.push({ message: '--tang-url is missing', hint: 'For example: --tang-url http://tang.example:7500' });
  }
  if (thumbprint === undefined) {
    problems.push({ message: '--tang-thumbprint is missing', hint: 'Run tang-show-keys on the server.' });
  }
  return url === undefined || thumbprint === undefined ? undefined : { url, thumbprint };
}

const hostnameFrom = (name: string): string =>
  name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 63)
    .replace(/^-+|-+$/g, '');

async function readAdmins(specs: readonly string[], problems: Problem[]): Promise<SiteAnswers['admins']> {
  const admins = new Map<string, string[]>();
  for (const spec of specs) {
    const [name = '', ...rest] = spec.split('=');
    const file = rest.join('=').replace(/^~(?=\/)/, homedir());
    if (name === '' || file === '') {
      problems.push({ message: `--admin ${spec} is not NAME=KEYFILE` });
      continue;
    }
    const text = await readFile(file, 'utf8').catch(() => undefined);
    const keys = (text ?? '')
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== '' && !line.startsWith('#'));
    if (text === undefined) problems.push({ message: `--admin ${spec}: ${file} can't be read` });
    else if (/PRIVATE KEY/.test(text)) {
      problems.push({ message: `--admin ${spec}: ${file} is a private key`, hint: 'Give the public half, .pub.' });
    } else if (keys.length === 0) problems.push({ message: `--admin ${spec}: ${file} holds no key` });
    admins.set(name, [...(admins.get(name) ?? []), ...keys]);
  }
  return [...admins].map(([name, keys]) => ({ name, keys }));
}

/** @returns the recipient, age1… */
async function makeAgeKey(file: string): Promise<string> {
  const { stderr } = await hostRunner.run(['age-keygen', '-o', file], { timeout: 20 }).catch((cause: unknown) => {
    if (!(cause instanceof StepError && cause.message.startsWith('The program was not found'))) throw cause;
    throw new StepError({ message: 'age-keygen was not found', hint: 'sudo apt-get install age' }, { cause });
  });
  const recipient = /age1[0-9a-z]+/.exec(stderr)?.[0];
  if (recipient === undefined) throw new StepError('age-keygen told no public key');
  return recipient;
}

async function ask(flags: InitSiteFlags, prompts: Prompts): Promise<InitSiteFlags> {
  const required = (answer: string): string | undefined => (answer.trim() === '' ? 'Something is needed' : undefined);
  const name = flags.name ?? (await prompts.text({ message: 'What do you call the site?', check: required }));
  const hostname =
    flags.hostname ??
    (await prompts.text({
      message: 'Host name of the device',
      initial: hostnameFrom(name),
      check: (answer) => (HOSTNAME.test(answer) ? undefined : 'Lower-case letters, digits and hyphens, 63 at most'),
    }));
  const admin = flags.admin ?? [await askAdmin(prompts)];
  if (flags.unlock === undefined)
    prompts.note(`How the data partition is opened:\n${describeMethods()}\n\n${unlockMatrix()}`);
  const unlock = await askUnlock(flags, prompts);
  const recipients = await askRecovery(flags, name, prompts);
  return { ...flags, name, hostname, admin, ...unlock, ...recipients };
}

async function askUnlock(flags: InitSiteFlags, prompts: Prompts): Promise<Partial<InitSiteFlags>> {
  const choices = unlockMethods.map((known) => {
    const name = shownName(known);
    return { value: name, label: name, hint: known.lines[0] };
  });
  const chosen = flags.unlock ?? (await prompts.choose({ message: 'Unlock method', choices }));
  const known = unlockMethods.find((one) => shownName(one) === chosen);
  const unlock = known?.method ?? chosen;
  if (unlock !== 'tang') return { unlock, ...(known?.pin === true ? { pin: true } : {}) };
  const tangUrl =
    flags.tangUrl ?? (await prompts.text({ message: 'Where the tang server answers', initial: 'http://' }));
  const tangThumbprint =
    flags.tangThumbprint ?? (await prompts.text({ message: 'Thumbprint of its signing key (tang-show-keys)' }));
  return { unlock, tangUrl, tangThumbprint };
}

async function askAdmin(prompts: Prompts): Promise<string> {
  const name = await prompts.text({ message: 'Name of the first admin', initial: 'operator' });
  const file = await prompts.text({
    message: 'File with the SSH public key',
    initial: join(homedir(), '.ssh', 'id_ed25519.pub'),
  });
  return `${name}=${file}`;
}

async function askRecovery(flags: InitSiteFlags, name: string, prompts: Prompts): Promise<Partial<InitSiteFlags>> {
  const settled = flags.recipient ?? flags.newRecipient ?? flags.singleRecipientAccepted;
  if (settled !== undefined) return {};
  prompts.note(
    'The sudo password and the LUKS recovery key are made on the device and encrypted to the admins’ SSH keys.\n' +
      'A second key, kept off line, still opens them when that key is lost.',
  );
  if (await prompts.confirm({ message: 'Make an age key for recovery now?', initial: true })) {
    return { newRecipient: await prompts.text({ message: 'Where to', initial: `${hostnameFrom(name)}-recovery.key` }) };
  }
  const recipient = await prompts.text({ message: 'Recipient (age1… or an SSH public key), or nothing' });
  if (recipient.trim() !== '') return { recipient: [recipient.trim()] };
  const accepted = await prompts.text({ message: 'Who accepts that one key alone recovers this device? (name)' });
  return { singleRecipientAccepted: accepted };
}
