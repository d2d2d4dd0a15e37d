import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openBundle } from '../../src/qemu/bundle.ts';
import type { Device } from '../../src/qemu/device.ts';
import { get } from '../../src/qemu/probes.ts';
import { type Drive, drive, PATIENCE, restart } from '../boot/drive.ts';
import { Visitor } from '../helpers/visitor.ts';
import { builtImage } from '../image/built-image.ts';

// A data partition that gets full costs backups, and tells it; the application goes on. A backup that was missed while the
// device was off is made up.

const PROGRAM = '/usr/sbin/amslpr-device';
const BACKUP = 'amslpr-backup.service';
const FAILED = `Alert: ${BACKUP} failed`;
const TRY = '/usr/lib/amslpr/amslpr_device/app/try_row.py';
const ACCOUNTS = '/var/lib/amslpr/config/users.json';
/** A place whose changes the audit rules record. */
const RECORDED = '/etc/sudoers.d/zz-recorded';
const MIB = 2 ** 20;

let card: Drive;
let device: Device;

beforeAll(async () => {
  card = await drive((await builtImage()).image, 'card', 'full-data');
  device = await card.login();
  await device.waitFor('ready', PATIENCE.ready);
});

afterAll(async () => {
  await device?.ssh.close();
  await card?.stop();
});

const shell = (script: string): Promise<string> => device.sudo(['sh', '-c', script], { timeout: 900 });
const status = async (): Promise<string> => (await device.ssh.run([PROGRAM, 'status'])).stdout;
const archives = (): Promise<string> => shell('ls -A /var/backups/amslpr | grep -v "^[.]lock$" || true');
/** How many archives there are. */
const count = async (): Promise<number> => (await archives()).match(/\.age$/gm)?.length ?? 0;
/** Runs the nightly unit, and says how it ended. */
const backup = async (): Promise<string> =>
  (await shell(`systemctl start ${BACKUP} >/dev/null 2>&1; systemctl show --value -p Result ${BACKUP}`)).trim();
const accounts = (): Promise<string> =>
  shell(`python3 -c 'import json; print(*json.load(open("${ACCOUNTS}"))["users"])'`);
const loginPage = async (): Promise<number> => (await get(card.guest, 'https', '/login')).status;
/** Whether the application's account can write a row; the reason when it cannot. */
const takesRow = async (): Promise<string> =>
  (
    await shell(
      `runuser -u amslpr -- python3 -I -B ${TRY} /var/lib/amslpr/data/amslpr.db 2>&1 && echo 'a row was taken'`,
    )
  ).trim();
const adminPassword = async (): Promise<string> =>
  (await openBundle(card.guest, card.site.identity)).applicationAdminPassword;
/** Its process: another one after it died. */
const running = (): Promise<string> => shell('systemctl show -p MainPID,NRestarts,ActiveState amslpr.service');

describe('a data partition that is full', () => {
  let before: string;
  let process: string;

  beforeAll(async () => {
    expect(await backup()).toBe('success');
    before = await archives();
    process = await running();
    expect(process).toContain('ActiveState=active');
  });

  it('but for what backups leave to the application: the backup fails with the reason, and leaves nothing', async () => {
    await shell(`fallocate -l $(($(df -B1 --output=avail /data | tail -1) - ${32 * MIB})) /data/filled`);
    expect(await backup()).toBe('exit-code');
    expect(await shell(`journalctl -u ${BACKUP} -o cat -n 20`)).toMatch(
      /has \d+ MiB free; this backup may need \d+ MiB, and \d+ MiB stay free for the application/,
    );
    expect(await archives()).toBe(before);
  });

  it('is an alert', async () => {
    await expect.poll(status, { timeout: 300_000, interval: 5000 }).toContain(FAILED);
  });

  it('is none to the application', async () => {
    expect(await loginPage()).toBe(200);
    expect(await takesRow()).toBe('a row was taken');
    expect(await running()).toBe(process);
  });

  it('by the application itself, keeps nobody out: the administrator logs in, and the account is still there', async () => {
    // By its account: in large pieces, then in small ones.
    const fill = (name: string, size: string): string =>
      `runuser -u amslpr -- dd if=/dev/zero of=/var/lib/amslpr/data/images/${name} bs=${size} 2>/dev/null`;
    await shell(`${fill('brim', '1M')}; ${fill('brim2', '512')}; true`);
    expect(Number((await shell('df -B1 --output=avail /data | tail -1')).trim())).toBe(0);
    expect(await backup()).toBe('exit-code');
    expect(await archives()).toBe(before);
    const visitor = new Visitor(card.guest);
    expect(await visitor.logIn('admin', await adminPassword())).toBe(true);
    expect((await visitor.page('/vehicles/')).status).toBe(200);
    expect(await accounts()).toBe('admin');
    expect(await running()).toBe(process);
  });

  it('to the last byte, by root, who may take what is kept from all others: the same', async () => {
    await shell(
      'dd if=/dev/zero of=/data/rim bs=1M 2>/dev/null; dd if=/dev/zero of=/data/rim2 bs=512 2>/dev/null; true',
    );
    expect(await loginPage()).toBe(200);
    const visitor = new Visitor(card.guest);
    expect(await visitor.logIn('admin', await adminPassword())).toBe(true);
    expect((await visitor.page('/vehicles/')).status).toBe(200);
    expect(await accounts()).toBe('admin');
    expect(await running()).toBe(process);
  });

  it('with room again, answers, has backups, and no alert any more', async () => {
    await shell('rm /data/filled /var/lib/amslpr/data/images/brim* /data/rim /data/rim2');
    expect(await new Visitor(card.guest).logIn('admin', await adminPassword())).toBe(true);
    expect(await running()).toBe(process);
    expect(await takesRow()).toBe('a row was taken');
    const had = await count();
    expect(await backup()).toBe('success');
    expect(await count()).toBe(had + 1);
    // auditd has not stopped for good.
    await shell(`touch ${RECORDED}; rm ${RECORDED}; sleep 3`);
    expect(await shell('tail -n 200 /var/log/audit/audit.log')).toContain(RECORDED);
    expect(await shell(`${PROGRAM} backup verify`)).not.toMatch(/: it/);
    const told = async (): Promise<string> => {
      await device.sudo([PROGRAM, 'monitor', 'look'], { okCodes: [0, 1], timeout: 300 });
      return status();
    };
    await expect.poll(told, { timeout: 300_000, interval: 15_000 }).not.toContain(FAILED);
  });
});

describe('a backup that was missed', () => {
  it('is made up after the start', async () => {
    // As if the device had been off for the last two nights: systemd's mark of the last run is that old.
    const had = await count();
    await shell(
      'systemctl stop amslpr-backup.timer; touch -d "2 days ago" /var/lib/systemd/timers/stamp-amslpr-backup.timer',
    );
    device = await restart(card, device);
    await device.waitFor('ready', PATIENCE.ready);
    // The timer spreads its runs over ten minutes.
    await expect.poll(count, { timeout: 1_800_000, interval: 15_000 }).toBe(had + 1);
    // And is over then: the mark is of today.
    expect(await shell('systemctl list-timers --no-pager amslpr-backup.timer')).toMatch(/amslpr-backup\.timer/);
    const stamp = await shell('stat --format=%Y /var/lib/systemd/timers/stamp-amslpr-backup.timer; date +%s');
    const [last = 0, now = 0] = stamp.trim().split('\n').map(Number);
    expect(now - last).toBeLessThan(3600);
  });
});
