import { setTimeout as sleep } from 'node:timers/promises';
import type { CheckResult } from '../core/check.ts';
import { StepError } from '../core/errors.ts';
import { openBundle } from './bundle.ts';
import type { Guest } from './guest.ts';
import { openSsh, type Reachable, type Ssh, type SshTarget } from './ssh.ts';

/** By its full path: an administrator's PATH over SSH has no sbin. */
const PROGRAM = '/usr/sbin/amslpr-device';

export interface DeviceStatus {
  /** working, waiting, failed, rescue or ready. */
  readonly state: string;
  readonly step: string;
  readonly message: string;
  readonly hint: string;
}

/** A guest that an administrator has logged in to. */
export interface Device extends AsyncDisposable {
  readonly ssh: Ssh;
  status(): Promise<DeviceStatus>;
  /** Waits for a state; `failed` and, unless asked for, `waiting` end it at once. @throws StepError with the status */
  waitFor(state: string, seconds: number): Promise<DeviceStatus>;
  /** Runs a program as root, with the password from the recovery bundle. `input` is for the program. */
  sudo(
    argv: readonly string[],
    options?: { input?: string; okCodes?: readonly number[]; timeout?: number },
  ): Promise<string>;
  /** Answers of the image's own runner of checks: all, or those of the stages that are named. */
  audit(...stages: readonly string[]): Promise<CheckResult[]>;
}

/** `password`: of sudo; the bundle is opened with the admin's own key when it is not given. */
export async function openDevice(
  guest: Reachable & Pick<Guest, 'bootFile'>,
  target: SshTarget,
  password?: string,
): Promise<Device> {
  const ssh = await openSsh(guest, target);
  let known = password;
  const close = (): Promise<void> => ssh.close();
  async function status(timeout?: number): Promise<DeviceStatus> {
    const options = { okCodes: [0, 1, 2, 3], ...(timeout === undefined ? {} : { timeout }) };
    const { stdout } = await ssh.run([PROGRAM, 'status', '--json'], options);
    try {
      return { state: '', step: '', message: '', hint: '', ...JSON.parse(stdout) };
    } catch (cause) {
      throw new StepError({ message: 'amslpr-device status gave no JSON', hint: stdout.slice(0, 400) }, { cause });
    }
  }
  async function sudo(
    argv: readonly string[],
    { input = '', ...options }: { input?: string; okCodes?: readonly number[]; timeout?: number } = {},
  ): Promise<string> {
    known ??= (await openBundle(guest, target.identity)).sudoPasswords[target.user];
    if (known === undefined) throw new StepError(`The recovery bundle has no sudo password for ${target.user}`);
    const command = ['sudo', '-S', '-k', '-p', '', '--', ...argv];
    return (await ssh.run(command, { input: `${known}\n${input}`, ...options })).stdout;
  }
  return {
    ssh,
    status,
    async waitFor(state, seconds) {
      const deadline = Date.now() + seconds * 1000;
      while (true) {
        // On a busy host an emulated board takes minutes for one answer: how long that may be the caller has said.
        const found = await status(Math.max(300, (deadline - Date.now()) / 1000));
        if (found.state === state) return found;
        const hopeless = found.state === 'failed' || found.state === 'waiting';
        if (hopeless || Date.now() > deadline) {
          const message = `The device is ${found.state}${found.step === '' ? '' : ` at ${found.step}`}, not ${state}`;
          throw new StepError({ message, hint: `${found.message}\n${found.hint}`.trim() });
        }
        await sleep(3000);
      }
    },
    sudo,
    async audit(...stages) {
      const out = await sudo([PROGRAM, 'audit', '--json', ...stages], { okCodes: [0, 1, 3], timeout: 900 });
      return readResults(out);
    },
    [Symbol.asyncDispose]: close,
  };
}

/** @throws StepError for anything but a list of results */
export function readResults(text: string): CheckResult[] {
  const found: unknown = JSON.parse(text);
  const list: unknown = Array.isArray(found) ? found : (found as { results?: unknown } | null)?.results;
  if (!Array.isArray(list) || list.length === 0) throw new StepError('The audit in the guest gave no results');
  return list.map((entry: Record<string, unknown>) => {
    const { id, title, guide, outcome, evidence, expected } = entry;
    if (typeof id !== 'string' || (outcome !== 'pass' && outcome !== 'fail')) {
      throw new StepError({ message: 'A result of the guest is none', hint: JSON.stringify(entry).slice(0, 300) });
    }
    return {
      id,
      title: String(title),
      guide: Array.isArray(guide) ? guide.map(Number) : [],
      outcome,
      evidence: String(evidence ?? '') || 'nothing',
      ...(typeof expected === 'string' ? { expected } : {}),
    };
  });
}
