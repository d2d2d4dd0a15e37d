import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type AuditReport, makeReport } from '../audit/report.ts';
import type { CheckResult } from '../core/check.ts';
import { UserError } from '../core/errors.ts';
import { type Log, silent } from '../core/log.ts';
import { validateSite } from '../site/validate.ts';
import { type Device, openDevice } from './device.ts';
import { ephemeralSite } from './ephemeral-site.ts';
import { type Guest, startGuest } from './guest.ts';
import type { MachineName } from './machine.ts';
import { probeFromOutside } from './probes.ts';

export interface CheckOptions {
  readonly machine?: MachineName;
  /** A site file of one's own, with `identity`, the private key of one of its admins. Default: an ephemeral site. */
  readonly site?: string;
  readonly identity?: string;
  readonly log?: Log;
  readonly signal?: AbortSignal;
}

/** Seconds that each phase may take: emulation is slow, and raspi3b four times slower. */
export const PATIENCE = {
  virt: { ssh: 900, ready: 900 },
  raspi3b: { ssh: 1800, ready: 1800 },
} as const;

/**
 * Boots a view of the image with a site, logs in, and answers every check that needs a running device: those of the
 * image's own runner, and a few from outside. Failed checks are no error.
 * @throws StepError when the guest does not come so far
 */
export async function checkBooted(image: string, options: CheckOptions = {}): Promise<AuditReport> {
  const { log = silent } = options;
  const folder = await mkdtemp(join(tmpdir(), 'amslpr-site-'));
  try {
    const drive = await driver(folder, options);
    const { machine, signal } = options;
    const given = { site: drive.site, log, ...(machine ? { machine } : {}), ...(signal ? { signal } : {}) };
    await using guest = await startGuest(image, given);
    const results = await untilAborted(signal, async () => {
      const patience = PATIENCE[guest.machine.name];
      await step(log, 'boot to SSH', () => guest.waitForSsh(patience.ssh));
      await using device = await openDevice(guest, drive);
      await step(log, 'first boot', () => device.waitFor('ready', patience.ready));
      return await step(log, 'checks in the guest', () => checkDevice(guest, device, drive.user));
    });
    return makeReport(image, results);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

// On a busy host the application makes its database some time after the device was ready.
const APPLICATION = [
  'systemctl -q is-active amslpr.service || exit 0',
  'for i in $(seq 120); do [ -e /var/lib/amslpr/data/amslpr.db ] && exit; sleep 1; done',
].join('\n');

/** All checks of a ready device: its own, whether any is missing, and those from outside. */
export async function checkDevice(guest: Guest, device: Device, user: string): Promise<CheckResult[]> {
  await device.sudo(['sh', '-c', APPLICATION], { timeout: 300 });
  const inside = await device.audit();
  const { stdout } = await device.ssh.run(['cat', '/usr/share/amslpr/checks.json']);
  return [...inside, completeness(stdout, inside), ...(await probeFromOutside(guest, user))];
}

/** A check that the image has, but its runner did not answer, must not pass for good. */
export function completeness(checksJson: string, inside: readonly CheckResult[]): CheckResult {
  const list = JSON.parse(checksJson) as { id: string }[];
  const answered = new Set(inside.map(({ id }) => id));
  const missing = list.map(({ id }) => id).filter((id) => !answered.has(id));
  return {
    id: 'from-outside/complete',
    title: 'Every check of the image was answered',
    guide: [],
    ...(missing.length === 0 && list.length > 0
      ? { outcome: 'pass', evidence: `${list.length} checks, ${answered.size} answers` }
      : {
          outcome: 'fail',
          evidence: missing.length === 0 ? 'checks.json is empty' : `no answer to ${missing.join(', ')}`,
          expected: 'an answer to each check of /usr/share/amslpr/checks.json',
        }),
  };
}

async function driver(folder: string, { site, identity }: CheckOptions) {
  if (site === undefined) return ephemeralSite(folder);
  if (identity === undefined) {
    throw new UserError({
      message: '--check with --site needs --identity, the private key of one of its admins',
      hint: 'Leave out both for a site that is made for this one boot.',
    });
  }
  const valid = await validateSite(site);
  const user = valid.site.admins[0]?.name ?? '';
  return { site: valid, identity, user };
}

async function step<T>(log: Log, name: string, work: () => Promise<T>): Promise<T> {
  const started = Date.now();
  let ok = false;
  log({ kind: 'step-start', step: name });
  try {
    const value = await work();
    ok = true;
    return value;
  } finally {
    log({ kind: 'step-end', step: name, seconds: (Date.now() - started) / 1000, ok });
  }
}

/** Leaves `work` behind when the person interrupts; what it waits for ends with the guest. */
export async function untilAborted<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
  if (signal === undefined) return work();
  signal.throwIfAborted();
  return new Promise<T>((resolve, reject) => {
    const abort = (): void => reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    work()
      .then(resolve, reject)
      .finally(() => signal.removeEventListener('abort', abort));
  });
}
