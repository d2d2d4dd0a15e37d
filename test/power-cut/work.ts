import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Device } from '../../src/qemu/device.ts';

export const workNames = ['upgrade', 'boot-files', 'backup', 'restore'] as const;
export type WorkName = (typeof workNames)[number];

/** A guest with a log-in, while a work is done in it. */
export interface Session {
  readonly device: Device;
  /** The log of its serial console. */
  readonly console: string;
}

/** Something that a ready device does while its power is cut. */
export interface Work extends AsyncDisposable {
  /** What has to be there before the work begins; the cuts come after it. */
  prepare(session: Session): Promise<void>;
  /** The work itself, from its begin to its end. @throws Error when it fails without a cut */
  run(session: Session): Promise<void>;
  /** Looks at a device that is ready again after a cut and finishes the work; says what is wrong. */
  finish(session: Session): Promise<string[]>;
}

/** Of a recording that has done all itself. */
export const nothingToDo: Work = {
  prepare: async () => undefined,
  run: async () => undefined,
  finish: async () => [],
  [Symbol.asyncDispose]: async () => undefined,
};

/** Nothing else is done by the device meanwhile. */
export async function quiet({ device }: Session): Promise<void> {
  const timers = ['apt-daily.timer', 'apt-daily-upgrade.timer', 'apt-daily.service', 'apt-daily-upgrade.service'];
  await device.sudo(['systemctl', 'stop', ...timers], { timeout: 900 });
}

/**
 * Runs a script as a unit of its own, as the nightly runs are, and gives what it said; its last word is the exit code. It
 * speaks through the serial console: an emulated device at work answers SSH too late to be asked all the time.
 */
async function inGuest({ device, console }: Session, script: string, seconds: number): Promise<string> {
  const name = `power-cut-${Date.now()}`;
  const text = `exec > /dev/console 2>&1; echo; echo '${name} begins'; (set -e; ${script}\n); echo "${name} ended $?"`;
  // systemd would put variables of its own in the place of the script's.
  const started = `echo ${Buffer.from(text).toString('base64')} | base64 -d | sh`;
  await device.sudo(['systemd-run', '--quiet', '--no-block', `--unit=${name}`, 'sh', '-c', started], { timeout: 900 });
  const deadline = Date.now() + seconds * 1000;
  const said = new RegExp(`${name} begins\\r?\\n([\\s\\S]*?)${name} ended (\\d+)`);
  while (Date.now() < deadline) {
    const found = said.exec(await readFile(console, 'latin1'));
    if (found !== null) return `${found[1]?.replaceAll('\r', '')}exit ${found[2]}`;
    await sleep(500);
  }
  throw new Error(`the guest did not end in ${seconds} s: ${script}`);
}

/** The same, and it has to end well. @throws Error with what it said */
export async function doneInGuest(session: Session, script: string, seconds: number): Promise<string> {
  const said = await inGuest(session, script, seconds);
  if (!said.endsWith('exit 0')) throw new Error(`${script}: ${said.slice(-2000)}`);
  return said;
}
