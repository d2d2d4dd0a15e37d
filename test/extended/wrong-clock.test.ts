import { afterEach, describe, expect, it } from 'vitest';
import { openBundle } from '../../src/qemu/bundle.ts';
import type { Device } from '../../src/qemu/device.ts';
import { get } from '../../src/qemu/probes.ts';
import { type Drive, drive, PATIENCE } from '../boot/drive.ts';
import { giveTime } from '../helpers/time-server.ts';
import { Visitor } from '../helpers/visitor.ts';
import { builtImage } from '../image/built-image.ts';

// First boots of a board whose clock is ten years off, and no server of time is reached until everything is made.

let card: Drive | undefined;
let device: Device | undefined;
afterEach(async () => {
  await device?.ssh.close();
  await card?.stop();
  [device, card] = [undefined, undefined];
});

const time = async (one: Device): Promise<number> => Number(await one.sudo(['date', '+%s'])) * 1000;
const DAY = 86_400_000;

async function firstBoot(clock: string, hostname: string): Promise<{ card: Drive; device: Device }> {
  card = await drive((await builtImage()).image, 'card', hostname, { board: { clock } });
  device = await card.login();
  await device.waitFor('ready', PATIENCE.ready);
  return { card, device };
}

/** SSH, sudo, and the application's log-in. */
async function works({ card: { guest, site }, device: one }: { card: Drive; device: Device }): Promise<void> {
  expect(await one.sudo(['id', '-u'])).toBe('0');
  const { applicationAdminPassword } = await openBundle(guest, site.identity);
  const visitor = new Visitor(guest);
  await expect
    .poll(() => visitor.logIn('admin', applicationAdminPassword).catch(() => false), {
      timeout: 600_000,
      interval: 15_000,
    })
    .toBe(true);
}

/** How long the certificate that nginx shows has been good, and will be, at the host's time. */
async function certificate({ guest }: Drive): Promise<{ since: number; left: number }> {
  const { certificate: shown } = await get(guest, 'https', '/login');
  if (shown === undefined) throw new Error('no certificate came');
  return { since: Date.now() - Date.parse(shown.validFrom), left: Date.parse(shown.validTo) - Date.now() };
}

describe('a first boot with a clock of', () => {
  it('2016 goes on from the day the image was built, and is right once a server of time is there', async () => {
    const site = await firstBoot('2016-03-01T12:00:00', 'past');
    const built = Number(await site.device.sudo(['stat', '-c', '%Y', '/usr/share/amslpr/image.json'])) * 1000;
    expect(await time(site.device)).toBeGreaterThanOrEqual(built);
    await works(site);
    await giveTime(site.device);
    expect(Math.abs((await time(site.device)) - Date.now())).toBeLessThan(60_000);
    const { since, left } = await certificate(site.card);
    expect(since).toBeGreaterThan(0);
    expect(left).toBeGreaterThan(30 * DAY);
    await works(site);
  });

  it('2036 works, and is right once a server of time is there', async () => {
    const site = await firstBoot('2036-03-01T12:00:00', 'future');
    expect(new Date(await time(site.device)).getUTCFullYear()).toBe(2036);
    await works(site);
    await giveTime(site.device);
    expect(Math.abs((await time(site.device)) - Date.now())).toBeLessThan(60_000);
    const { since, left } = await certificate(site.card);
    expect(since).toBeGreaterThan(0);
    expect(left).toBeGreaterThan(30 * DAY);
    await works(site);
  });
});
