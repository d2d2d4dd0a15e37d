import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CheckResult } from '../../src/core/check.ts';
import { StepError } from '../../src/core/errors.ts';
import { openBundle } from '../../src/qemu/bundle.ts';
import { PATIENCE as BY_MACHINE } from '../../src/qemu/check.ts';
import { type Device, openDevice } from '../../src/qemu/device.ts';
import { type EphemeralSite, ephemeralSite, type UnlockChoice } from '../../src/qemu/ephemeral-site.ts';
import { type Guest, type GuestOptions, startGuest } from '../../src/qemu/guest.ts';

/** Seconds under virt; a busy host of two cores needs a third of it. */
export const PATIENCE = BY_MACHINE.virt;

export interface Drive {
  readonly guest: Guest;
  readonly site: EphemeralSite;
  /** Seconds to wait for SSH or a state. */
  readonly patience: number;
  /** Logs in again, after a restart. */
  login(): Promise<Device>;
  stop(): Promise<void>;
}

/** On a busy host a guest may need longer for a log-in than either side waits for one: it is asked again. */
export async function patiently<T>(work: () => Promise<T>): Promise<T> {
  for (let left = 3; ; left -= 1) {
    try {
      return await work();
    } catch (error) {
      if (left === 0 || !(error instanceof StepError)) throw error;
      // The firewall shuts out who comes six times in half a minute.
      await sleep(31_000);
    }
  }
}

/** A guest of the image with a site of its own, waited for until SSH answers. */
export async function drive(
  image: string,
  choice: UnlockChoice | string,
  hostname: string,
  more: GuestOptions = {},
): Promise<Drive> {
  const folder = await mkdtemp(join(tmpdir(), 'amslpr-drive-'));
  const drop = () => rm(folder, { recursive: true, force: true });
  try {
    const unlock = typeof choice === 'string' ? { unlock: choice } : choice;
    const site = await ephemeralSite(folder, unlock, hostname);
    const guest = await startGuest(image, { site: site.site, ...more });
    const patience = BY_MACHINE[guest.machine.name].ssh;
    try {
      await guest.waitForSsh(patience);
    } catch (error) {
      await guest.stop();
      throw error;
    }
    const stop = async (): Promise<void> => {
      await guest.stop();
      await drop();
    };
    return { guest, site, patience, login: () => patiently(() => openDevice(guest, site)), stop };
  } catch (error) {
    await drop();
    throw error;
  }
}

/** Restarts the guest from within and logs in again. */
export async function restart({ guest, login, patience }: Drive, device: Device): Promise<Device> {
  const before = guest.starts();
  // The connection breaks at once: whatever ssh says about it is no failure.
  await device.sudo(['systemctl', 'reboot'], { okCodes: [0, 255] });
  await device.ssh.close();
  await guest.waitForRestart(before, patience);
  return login();
}

/** What failed, ready to read in a test's message. */
export const failures = (results: readonly CheckResult[]): string[] =>
  results
    .filter(({ outcome }) => outcome === 'fail')
    .map(({ id, evidence, expected }) => `${id}: saw ${evidence}; expected ${expected ?? 'otherwise'}`);

/**
 * The key that the data is encrypted with, in hexadecimal. The kernel does not give it back, not even to root: it comes
 * out of the header, by the recovery key.
 */
export async function volumeKey({ guest, site }: Drive, device: Device): Promise<string> {
  const input = (await openBundle(guest, site.identity)).luksRecoveryKey;
  const dump = 'cryptsetup luksDump --batch-mode --dump-volume-key --key-file - /dev/disk/by-partuuid/*-04';
  const told = await device.sudo(['sh', '-c', dump], { input, timeout: 300 });
  const key = (/^MK dump:([0-9a-f\s]+)/m.exec(told)?.[1] ?? '').replace(/\s/g, '');
  if (!/^([0-9a-f]{64}){1,2}$/.test(key)) throw new Error('cryptsetup told no volume key');
  return key;
}

/** Everything by which one device is told from another, by name. */
export async function identities(drive: Drive, device: Device): Promise<Record<string, string>> {
  const script = [
    'echo "host key $(cut -d" " -f2 /etc/ssh/ssh_host_ed25519_key.pub)"',
    'echo "machine id $(cat /etc/machine-id)"',
    'echo "TLS key $(sha256sum < /etc/amslpr/ssl/key.pem | cut -c1-64)"',
    'echo "container $(cryptsetup luksUUID /dev/disk/by-partuuid/*-04)"',
    'echo "data file system $(blkid -o value -s UUID /dev/mapper/amslpr-data)"',
    'echo "random seed $(sha256sum < /var/lib/systemd/random-seed | cut -c1-64)"',
    'for file in $(find /etc/amslpr/secrets -type f); do echo "secret $file $(sha256sum < $file | cut -c1-64)"; done',
    'echo "sudo password $(getent shadow driver | cut -d: -f2)"',
    'echo "Fernet key $(sha256sum < /var/lib/amslpr/config/crypto.key | cut -c1-64)"',
    // Not the whole account: it has the time of the last log-in.
    `echo "web account $(grep -oE '"(password_hash|salt)": "[^"]+"' /var/lib/amslpr/config/users.json | sha256sum | cut -c1-64)"`,
  ].join('; ');
  const lines = (await device.sudo(['sh', '-c', script])).trim().split('\n');
  const found = lines.map((line) => {
    const [, name = '', value = ''] = /^(.*) (\S+)$/.exec(line) ?? [];
    return [name, value];
  });
  return { ...Object.fromEntries(found), 'volume key': await volumeKey(drive, device) };
}

/** Kind, mode, owner, inode, size and times of all that the first boot makes; mounts, partitions and the container's header. */
export function onDisk(device: Device): Promise<string> {
  const made =
    '/etc /boot/firmware /var/lib/amslpr-device /var/lib/amslpr-rescue /data/secrets /data/tls /data/amslpr/config';
  const script = [
    `find ${made} -printf '%p %y %m %U:%G %i %s %T@ %C@\\n' | sort`,
    'findmnt --noheadings --raw --output TARGET,SOURCE,OPTIONS | sort',
    'lsblk --noheadings --raw --bytes --output NAME,START,SIZE,UUID,PARTUUID',
    'cryptsetup luksDump /dev/disk/by-partuuid/*-04',
    'dmsetup table',
  ].join(' && ');
  return device.sudo(['sh', '-c', script], { timeout: 300 });
}
