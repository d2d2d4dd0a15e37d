import { StepError, UserError } from '../core/errors.ts';
import { hostRunner } from '../host/runner.ts';

/** Where a device is, and as whom. */
export interface DeviceAddress {
  readonly user: string;
  readonly host: string;
  readonly port: number;
  /** The administrator's private key, or the public one of a key that an agent holds. */
  readonly identity: string;
  /** The file that has, or shall get, the device's host key. */
  readonly knownHosts: string;
  /** The name in that file. */
  readonly alias: string;
}

/** `USER@HOST`. @throws UserError */
export function parseAddress(text: string): { readonly user: string; readonly host: string } {
  const [, user = '', host = ''] = /^([a-z][a-z0-9_-]*)@([A-Za-z0-9][A-Za-z0-9.:-]*)$/.exec(text) ?? [];
  if (host === '') {
    throw new UserError({
      message: `${text} is not USER@HOST`,
      hint: 'Give the administrator of the site file and the address of the device: alex@192.0.2.10',
    });
  }
  return { user, host };
}

const SECONDS = 120;

/** Words of our own only, none of which the device's shell sees as anything else. */
const SAFE_WORD = /^[A-Za-z0-9_./=-]*$/;

/**
 * Runs a program on the device in one connection with one key: an agent that holds many would run out of tries. With
 * `first` the host key is taken into `knownHosts`, else it must be there.
 * @throws StepError with what ssh or the program said
 */
export async function onDevice(
  at: DeviceAddress,
  words: readonly string[],
  { first = false, input }: { first?: boolean; input?: string } = {},
): Promise<string> {
  if (!words.every((word) => SAFE_WORD.test(word))) throw new TypeError(`not safe in a shell: ${words.join(' ')}`);
  const options = {
    BatchMode: 'yes',
    IdentitiesOnly: 'yes',
    PreferredAuthentications: 'publickey',
    HostKeyAlgorithms: 'ssh-ed25519',
    HostKeyAlias: at.alias,
    UserKnownHostsFile: at.knownHosts,
    GlobalKnownHostsFile: '/dev/null',
    HashKnownHosts: 'no',
    StrictHostKeyChecking: first ? 'accept-new' : 'yes',
    ConnectTimeout: '60',
    LogLevel: 'ERROR',
  };
  const settings = Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  const ssh = ['ssh', '-F', 'none', '-p', String(at.port), '-i', at.identity, ...settings];
  const shown = [...ssh.slice(0, 7), `${at.user}@${at.host}`, ...words];
  try {
    const { stdout } = await hostRunner.run([...ssh, `${at.user}@${at.host}`, '--', ...words], {
      timeout: SECONDS,
      shownAs: shown,
      ...(input === undefined ? {} : { input }),
    });
    return stdout;
  } catch (cause) {
    if (!(cause instanceof StepError)) throw cause;
    const said = cause.problems[0]?.hint ?? cause.message;
    throw new StepError({ message: `${at.user}@${at.host}: ${words.join(' ')} failed`, hint: said }, { cause });
  }
}
