import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readImage } from '../../src/audit/image.ts';
import { openBundle } from '../../src/qemu/bundle.ts';
import { ephemeralSite } from '../../src/qemu/ephemeral-site.ts';
import { type GuestOptions, startGuest } from '../../src/qemu/guest.ts';
import { PATIENCE } from '../boot/drive.ts';
import { consoleTimes, type Times, timesTable } from '../helpers/console-times.ts';
import { builtImage } from '../image/built-image.ts';

// A first boot waits for no network: not for a cable, not for an address, not for the time. The two are timed one after
// the other, on a host whose other work may change meanwhile.

let folder: string;
const runs: Record<string, Times> = {};
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'amslpr-no-network-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function timed(name: string, more: GuestOptions) {
  const site = await ephemeralSite(await mkdtemp(join(folder, 'site-')), { unlock: 'card' }, 'alone');
  const guest = await startGuest((await builtImage()).image, { site: site.site, ...more });
  try {
    runs[name] = await consoleTimes(guest, PATIENCE.ssh + PATIENCE.ready);
  } catch (error) {
    await guest.stop();
    throw error;
  }
  return { guest, site };
}

it('becomes ready without any network card, with all that a device makes', async () => {
  const { guest, site } = await timed('without', { board: { network: 'none' } });
  await using _stop = guest;
  await expect
    .poll(async () => (await guest.bootFile('/STATUS.TXT'))?.toString(), { timeout: 60_000, interval: 2000 })
    .toMatch(/alone: ready/);
  expect(Object.keys((await openBundle(guest, site.identity)).sudoPasswords)).toEqual(['driver']);
  const tree = await readImage(await guest.pullCard());
  expect(tree.text('/etc/ssh/ssh_host_ed25519_key.pub')).toMatch(/^ssh-ed25519 /);
  expect(tree.disk?.partitions.map(({ slot }) => slot)).toEqual([1, 2, 4]);
});

it('takes no longer than with one', async () => {
  const { guest } = await timed('with', {});
  await guest.stop();
  process.stdout.write(`${timesTable(runs)}\n`);
  const ready = (name: string): number => runs[name]?.get('ready') ?? Number.NaN;
  // A wait for a network ends after a minute or more.
  expect(ready('without')).toBeLessThan(ready('with') * 1.5 + 60);
  for (const times of Object.values(runs)) expect(times.get('sshd')).toBeLessThan(times.get('partitions') ?? 0);
});
