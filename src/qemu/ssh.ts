import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { StepError } from '../core/errors.ts';
import { type Background, startBackground } from '../host/background.ts';
import { hostRunner, type RunResult, shellQuote } from '../host/runner.ts';
import type { Guest } from './guest.ts';

export interface SshTarget {
  readonly user: string;
  /** File of the private key. */
  readonly identity: string;
}

/** One SSH connection that every command shares: the firewall limits how many are opened. */
export interface Ssh extends AsyncDisposable {
  /** Runs a program on the device. @throws StepError for exit codes other than `okCodes` (default [0]) */
  run(
    argv: readonly string[],
    options?: { input?: string; okCodes?: readonly number[]; timeout?: number },
  ): Promise<RunResult>;
  close(): Promise<void>;
}

let connections = 0;

/** What a connection needs to know of a guest. */
export type Reachable = Pick<Guest, 'ports' | 'folder'>;

const common = (guest: Reachable): string[] => [
  ...['-p', String(guest.ports.ssh), '-F', 'none', '-o', `UserKnownHostsFile=${join(guest.folder, 'known_hosts')}`],
  // The first contact is with the guest that was just made, on the loopback interface; its key must stay the same.
  ...['-o', 'StrictHostKeyChecking=accept-new', '-o', 'ConnectTimeout=60', '-o', 'LogLevel=ERROR'],
];

/** Logs in. @throws StepError with what ssh said */
export async function openSsh(guest: Reachable, { user, identity }: SshTarget, seconds = 120): Promise<Ssh> {
  connections += 1;
  const socket = join(guest.folder, `ssh-${connections}`);
  const own = ['-o', 'BatchMode=yes', '-o', 'IdentitiesOnly=yes', '-o', 'IdentityAgent=none', '-i', identity];
  const destination = `${user}@127.0.0.1`;
  const master: Background = startBackground(
    ['ssh', '-M', '-N', '-S', socket, '-o', 'ServerAliveInterval=30', ...common(guest), ...own].concat(destination),
  );
  let gone: string | undefined;
  void master.ended.then(({ output }) => {
    gone = output.trim() || 'ssh ended';
  });
  const deadline = Date.now() + seconds * 1000;
  while (!existsSync(socket) && gone === undefined && Date.now() < deadline) await sleep(200);
  if (!existsSync(socket)) {
    await master.stop();
    throw new StepError({ message: `SSH to the guest as ${user} failed`, hint: gone ?? `no answer in ${seconds} s` });
  }
  const close = (): Promise<void> => master.stop();
  return {
    run: (argv, { input, okCodes, timeout = 300 } = {}) =>
      hostRunner.run(['ssh', '-S', socket, ...common(guest), destination, '--', shellQuote(argv)], {
        timeout,
        ...(input === undefined ? {} : { input }),
        ...(okCodes === undefined ? {} : { okCodes }),
      }),
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** What the server says to somebody who has no key: the methods that it offers, as ssh prints them. */
export async function offeredMethods(guest: Guest, user: string): Promise<string> {
  const nothing = ['-o', 'BatchMode=yes', '-o', 'PubkeyAuthentication=no', '-o', 'PreferredAuthentications=none'];
  const { stderr } = await hostRunner.run(['ssh', ...common(guest), ...nothing, `${user}@127.0.0.1`, '--', 'true'], {
    okCodes: [255],
    timeout: 90,
  });
  return stderr.trim();
}
