import { mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ephemeralSite } from '../../src/qemu/ephemeral-site.ts';
import { startGuest } from '../../src/qemu/guest.ts';
import { drive, PATIENCE } from '../boot/drive.ts';
import { nothingMade } from '../boot/nothing-made.ts';
import { removeSite } from '../helpers/remove-site.ts';
import { builtImage } from '../image/built-image.ts';

// A site file with an error: told with its line where people look, nothing made, and the good one in its place is taken.

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'amslpr-site-file-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

it('is refused with line and reason, and the corrected one makes the same card ready', async () => {
  const card = join(folder, 'card.raw');
  {
    const { site } = await ephemeralSite(folder, { unlock: 'card' }, 'gate');
    const canonical = site.canonical.replace('hostname: "gate"', 'hostname: "gate_north"');
    const line = canonical.split('\n').indexOf('hostname: "gate_north"') + 1;
    expect(line).toBeGreaterThan(1);
    const refused = new RegExp(`line ${line}: .*gate_north. is no host name`);
    await using guest = await startGuest((await builtImage()).image, { site: { ...site, canonical } });
    const deadline = Date.now() + PATIENCE.ssh * 1000;
    let status = '';
    while (!/waiting/.test(status) && Date.now() < deadline) {
      await sleep(5000);
      status = (await guest.bootFile('/STATUS.TXT'))?.toString() ?? '';
    }
    expect(status).toMatch(/^waiting at site$/m);
    expect(status).toMatch(refused);
    expect(await readFile(guest.console, 'latin1')).toMatch(refused);
    // Whatever would come up after it has the time to.
    await sleep(45_000);
    await rename(await nothingMade(guest), card);
  }
  await removeSite(card);
  const corrected = await drive(card, { unlock: 'card' }, 'gate');
  try {
    await using device = await corrected.login();
    await device.waitFor('ready', PATIENCE.ready);
    expect(await device.sudo(['hostname'])).toBe('gate');
    expect((await corrected.guest.bootFile('/STATUS.TXT'))?.toString()).toMatch(/^gate: ready$/m);
  } finally {
    await corrected.stop();
  }
});
