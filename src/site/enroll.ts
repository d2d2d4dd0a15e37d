import { access, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { StepError, UserError } from '../core/errors.ts';
import { decryptBundle, parseBundle } from './bundle.ts';
import { type DeviceAddress, onDevice, parseAddress } from './device-ssh.ts';
import { type DeviceReport, fingerprint, readReport } from './report.ts';
import { hostKeyLines, quotedPath } from './ssh-config.ts';

export interface EnrollOptions {
  readonly port?: number;
  /** The administrator's SSH key. */
  readonly identity: string;
  /** The file that `personalize` or `flash` wrote. */
  readonly enrolment?: string;
  /** Or the host key's fingerprint, read from the report on the card. */
  readonly fingerprint?: string;
  /** A key that opens the recovery bundle. Default: `identity`. */
  readonly key?: string;
  /** Gets a folder by the device's host name. */
  readonly output: string;
}

export interface Enrolled {
  readonly report: DeviceReport;
  /** Holds known_hosts, ssh_config and report.json. */
  readonly folder: string;
  /** Of the user that logged in; undefined when the site file brought its hash. */
  readonly sudoPassword?: string;
}

const PROGRAM = '/usr/sbin/amslpr-device';

/**
 * Claims a device: makes sure that it is the one that the card was written for, takes its host key, opens the recovery
 * bundle, and proves that to the device. It keeps out somebody in between on the network, but not somebody who held the
 * card before its first start: the token lies on it.
 * @throws UserError for flags and files, StepError for a device that is not the one, or cannot be reached
 */
export async function enroll(address: string, options: EnrollOptions): Promise<Enrolled> {
  const { user, host } = parseAddress(address);
  const { enrolment, fingerprint: pinned, identity, port = 22 } = options;
  if ((enrolment === undefined) === (pinned === undefined)) {
    throw new UserError({
      message: 'Either --enrolment or --fingerprint is needed: without one, any machine could claim to be the device',
      hint: 'Give the .enrol.json that `personalize` or `flash` wrote.',
    });
  }
  await needFile(identity, '--identity');
  if (options.key !== undefined) await needFile(options.key, '--key');
  const token = enrolment === undefined ? undefined : await readToken(enrolment);
  await mkdir(options.output, { recursive: true });
  const work = await mkdtemp(join(options.output, '.enroll-'));
  try {
    const at: DeviceAddress = { user, host, port, identity, knownHosts: join(work, 'known_hosts'), alias: 'device' };
    const text = await onDevice(at, [PROGRAM, 'report'], { first: true });
    const { report, genuine } = readReport(text, token);
    const seen = (await readFile(at.knownHosts, 'utf8')).trim().split(' ').slice(1, 3).join(' ');
    if (token !== undefined && !genuine) {
      throw new StepError({
        message: `${host} is not the device that ${enrolment} belongs to: its report does not carry the token`,
        hint: 'Is it the right address, and the file of this very card?',
      });
    }
    if (pinned !== undefined && fingerprint(seen) !== pinned) {
      throw new StepError(`${host} has the host key ${fingerprint(seen)}, not ${pinned}`);
    }
    if (report.ssh_host_key.split(' ').slice(0, 2).join(' ') !== seen) {
      throw new StepError({
        message: `The report names the host key ${fingerprint(report.ssh_host_key)}, but this connection has ${fingerprint(seen)}`,
        hint: 'Somebody stands between you and the device: use another network.',
      });
    }
    const bundle = parseBundle(await decryptBundle(await onDevice(at, [PROGRAM, 'bundle']), options.key ?? identity));
    const sudoPassword = bundle.sudoPasswords[user];
    if (sudoPassword !== undefined) {
      const prove = ['sudo', '-S', '-k', PROGRAM, 'prove', bundle.proofCode];
      await onDevice(at, prove, { input: `${sudoPassword}\n` });
    }
    const folder = await keep(options.output, work, at, report, seen, text);
    if (enrolment !== undefined) await retire(enrolment, fingerprint(seen));
    return { report, folder, ...(sudoPassword === undefined ? {} : { sudoPassword }) };
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function needFile(path: string, flag: string): Promise<void> {
  await access(path).catch((cause: unknown) => {
    throw new UserError({ message: `${flag} ${path}: there is no such file` }, { cause });
  });
}

async function readToken(path: string): Promise<string> {
  await needFile(path, '--enrolment');
  const text = await readFile(path, 'utf8');
  const found = parsed(text);
  const { token, enrolled } = found ?? {};
  if (typeof token === 'string') return token;
  throw new UserError({
    message:
      typeof enrolled === 'string'
        ? `${path} was used already, for the host key ${enrolled}`
        : `${path} is no file of \`personalize\` or \`flash\`: it has no token`,
    hint: 'A device that was enrolled before is known by its host key: --fingerprint SHA256:…',
  });
}

function parsed(text: string): Record<string, unknown> | undefined {
  try {
    const found: unknown = JSON.parse(text);
    return typeof found === 'object' && found !== null ? (found as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** Puts the device's folder in place, in one rename unless it is there already. */
async function keep(
  output: string,
  work: string,
  at: DeviceAddress,
  report: DeviceReport,
  key: string,
  text: string,
): Promise<string> {
  const { hostname } = report;
  if (!/^[a-z0-9-]{1,63}$/.test(hostname)) throw new StepError('The report has no host name that could be a folder');
  const folder = resolve(output, hostname);
  await writeFile(join(work, 'known_hosts'), `${hostname} ${key}\n`);
  await writeFile(join(work, 'report.json'), `${text}\n`);
  await writeFile(join(work, 'ssh_config'), sshConfig(folder, at, hostname));
  await mkdir(folder, { recursive: true });
  for (const name of ['known_hosts', 'report.json', 'ssh_config']) await rename(join(work, name), join(folder, name));
  return folder;
}

/** One key is offered, however many an agent holds: the device refuses after a few. */
export function sshConfig(folder: string, at: DeviceAddress, hostname: string): string {
  const lines = [
    `Host ${hostname}`,
    `  HostName ${at.host}`,
    `  Port ${at.port}`,
    `  User ${at.user}`,
    `  IdentityFile ${quotedPath(resolve(at.identity))}`,
    '  IdentitiesOnly yes',
    ...hostKeyLines(hostname, join(folder, 'known_hosts')).map((line) => `  ${line}`),
    '  StrictHostKeyChecking yes',
  ];
  return `${lines.join('\n')}\n`;
}

/** The token has done its work: what is left says for which host key. */
async function retire(path: string, enrolled: string): Promise<void> {
  const { token: _used, ...rest } = parsed(await readFile(path, 'utf8')) ?? {};
  await writeFile(`${path}.new`, `${JSON.stringify({ ...rest, enrolled }, undefined, 2)}\n`, { mode: 0o600 });
  await rename(`${path}.new`, path);
}
