import { type Log, silent } from '../core/log.ts';
import { validateSite } from '../site/validate.ts';
import { PATIENCE, untilAborted } from './check.ts';
import { type Guest, startGuest } from './guest.ts';
import type { MachineName } from './machine.ts';

export interface BootOptions {
  readonly machine?: MachineName;
  /** A site file, stamped onto the view. Without one the device waits for one and opens no port. */
  readonly site?: string;
  /** Show the serial console here. */
  readonly interactive?: boolean;
  readonly log?: Log;
  /** Ends the guest. */
  readonly signal?: AbortSignal;
}

/**
 * Boots a copy-on-write view of an image and stays until the guest is powered off or `signal` aborts; then nothing of it
 * is left. @throws StepError with the last console lines when a guest that has a site does not come to SSH
 */
export async function boot(image: string, options: BootOptions = {}): Promise<void> {
  const { log = silent, machine, signal, interactive } = options;
  const site = options.site === undefined ? undefined : await validateSite(options.site);
  await using guest = await startGuest(image, {
    log,
    ...(machine ? { machine } : {}),
    ...(site ? { site } : {}),
    ...(signal ? { signal } : {}),
    ...(interactive ? { interactive } : {}),
  });
  const say = (text: string): void => log({ kind: 'notice', text });
  say('Ctrl-C ends the guest; nothing of it is kept.');
  if (site === undefined) say('No site file: the device makes no secret and opens no port. Give one with --site.');
  await untilAborted(signal, async () => {
    if (site !== undefined) {
      const waited = guest.waitForSsh(PATIENCE[guest.machine.name].ssh);
      if (interactive === true) waited.catch(() => undefined);
      else await waited;
      for (const line of howToConnect(guest, site.site.admins[0]?.name ?? 'ADMIN')) say(line);
    }
    await guest.ended;
  });
}

function howToConnect({ ports, folder }: Guest, admin: string): string[] {
  return [
    `ssh -p ${ports.ssh} -o UserKnownHostsFile=${folder}/known_hosts ${admin}@127.0.0.1`,
    `https://127.0.0.1:${ports.https}/ (and http://127.0.0.1:${ports.http}/), once \`amslpr-device status\` says ready`,
  ];
}
