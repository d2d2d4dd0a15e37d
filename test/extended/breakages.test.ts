import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Device } from '../../src/qemu/device.ts';
import { type Drive, drive, PATIENCE, restart } from '../boot/drive.ts';
import { documentedLights, lightOf, SEEN } from '../helpers/light.ts';
import { ROOT_SHELL } from '../helpers/root-shell.ts';
import { builtImage } from '../image/built-image.ts';

// What a device is still reached by when a part that everything needs is broken. The steps build on each other, in one
// guest: each start of an emulated device takes minutes.

const COUNT = '/var/lib/amslpr-rescue/attempts';
const LIGHTS = documentedLights();
/** Says on the console what the light does, where nobody can log in to look. */
const TELLER = '/usr/local/sbin/light-test';
const TELLER_UNIT = '/etc/systemd/system/light-test.service';

describe('a device that is broken', () => {
  let card: Drive;
  let device: Device;

  beforeAll(async () => {
    card = await drive((await builtImage()).image, 'card', 'broken', { board: { led: true } });
    device = await card.login();
    await device.waitFor('ready', PATIENCE.ready);
  });

  afterAll(async () => {
    await device?.ssh.close();
    await card?.stop();
  });

  const shell = (script: string): Promise<string> => device.sudo(['sh', '-c', script]);

  /** Restarts by whatever `how` asks for. */
  async function restartBy(how: readonly string[]): Promise<void> {
    const before = card.guest.starts();
    await device.sudo(how, { okCodes: [0, 255] });
    await device.ssh.close();
    await card.guest.waitForRestart(before, PATIENCE.ssh);
    device = await card.login();
  }

  /** Waits for the light of a state: what fails is tried again a few times, and shows others in between. */
  const showsLight = (state: string): Promise<void> =>
    expect.poll(() => lightOf(device), { timeout: 300_000, interval: 5000 }).toBe(LIGHTS.get(state));

  const statusText = async (): Promise<string> => (await card.guest.bootFile('/STATUS.TXT'))?.toString().trim() ?? '';

  it('has counted its start, and forgot it when it was ready', async () => {
    expect(await shell(`ls -A ${COUNT.slice(0, COUNT.lastIndexOf('/'))}`)).toBe('');
  });

  it('shows that it is ready by its light, and every other state by the triggers of its kernel', async () => {
    await showsLight('ready');
    expect((await shell('cat /sys/class/leds/ACT/brightness')).trim()).not.toBe('0');
    // The table ends with `ready`.
    for (const [state, light] of LIGHTS) {
      const show = [
        'import sys; sys.path.insert(0, "/usr/lib/amslpr")',
        'from amslpr_device import context, status',
        `status.led(context.Context(), "${state}")`,
      ].join('; ');
      expect(await device.sudo(['python3', '-I', '-B', '-c', show])).toBe('');
      expect(await lightOf(device)).toBe(light);
    }
  });

  it('is reached by SSH, and shows no shell, when fstab names a file system that cannot be mounted', async () => {
    // The root partition as FAT: fails at once, without waiting for a disk.
    await shell(
      "sed 's|^\\(PARTUUID=[0-9a-f]*-02\\)\\s.*|&\\n\\1 /mnt vfat defaults 0 0|' -i /etc/fstab; cat /etc/fstab",
    );
    device = await restart(card, device);
    const status = await device.waitFor('rescue', PATIENCE.ready);
    expect(status.message).toMatch(/emergency mode/);
    expect(await shell('systemctl is-active ssh ufw amslpr nginx || true')).toBe('active\nactive\ninactive\ninactive');
    expect(await statusText()).toMatch(/rescue[\s\S]*rescue end/);
    await showsLight('rescue');
    expect(await readFile(card.guest.console, 'utf8')).not.toMatch(ROOT_SHELL);
  });

  it('starts in the normal way when it was mended', async () => {
    await shell("sed -i '/ \\/mnt vfat /d' /etc/fstab");
    await restartBy(['amslpr-device', 'rescue', 'end']);
    await device.waitFor('ready', PATIENCE.ready);
  });

  it('goes to rescue after three starts that came to no end', async () => {
    await shell(`printf 3 > ${COUNT}`);
    device = await restart(card, device);
    const status = await device.waitFor('rescue', PATIENCE.ready);
    expect(status.message).toMatch(/^4 starts in a row came to no end/);
    await showsLight('rescue');
    expect(await shell('systemctl is-active amslpr-data.target || true')).toBe('inactive');
  });

  it('is reached when nginx does not take its configuration', async () => {
    await shell("printf 'nonsense;\\n' > /etc/nginx/conf.d/00-broken.conf");
    await restartBy(['amslpr-device', 'rescue', 'end']);
    await device.waitFor('ready', PATIENCE.ready);
    expect(await shell('systemctl is-active nginx || true')).toMatch(/^(failed|activating|inactive)$/);
    await shell('rm /etc/nginx/conf.d/00-broken.conf');
  });

  it('is reached, and says what to do, when the file system of the data is wrecked', async () => {
    const starts = card.guest.starts();
    // Superblock, descriptors and inodes of everything that is there; and the power goes before it is written again.
    const wreck = ['dd', 'if=/dev/urandom', 'of=/dev/mapper/amslpr-data', 'bs=1M', 'count=64', 'oflag=direct'];
    await device.sudo(wreck, { timeout: 600 });
    card.guest.powerCycle();
    await device.ssh.close();
    await card.guest.waitForRestart(starts, PATIENCE.ssh);
    device = await card.login();
    await expect
      .poll(async () => device.status(), { timeout: PATIENCE.ready * 1000, interval: 5000 })
      .toMatchObject({ state: 'failed', step: 'data-open' });
    const { message, hint } = await device.status();
    expect(message).toMatch(/the data partition cannot be mounted: e2fsck failed/);
    expect(hint).toMatch(/sudo e2fsck -fy \/dev\/mapper\/amslpr-data/);
    expect(await statusText()).toMatch(/failed at data-open[\s\S]*e2fsck failed[\s\S]*Next: its file system/);
    // It is tried again a few times, and neither that nor a count of starts makes the device start again.
    await sleep(180_000);
    expect(card.guest.starts()).toBe(starts + 1);
    expect(await shell(`ls -A ${COUNT.slice(0, COUNT.lastIndexOf('/'))}`)).toBe('');
    expect(await shell('systemctl is-active ssh amslpr nginx || true')).toBe('active\ninactive\ninactive');
    await showsLight('failed');
    expect(await readFile(card.guest.console, 'utf8')).not.toMatch(ROOT_SHELL);
  });

  it('is ready again when the file system was mended as it says', async () => {
    await device.sudo(['e2fsck', '-fy', '/dev/mapper/amslpr-data'], { okCodes: [0, 1], timeout: 1800 });
    device = await restart(card, device);
    await device.waitFor('ready', PATIENCE.ready);
    expect(await shell('findmnt -no FSTYPE /data')).toBe('ext4');
  });

  it('says in STATUS.TXT and by its light that nobody can reach it when sshd does not take its configuration', async () => {
    const teller = `#!/bin/sh\nwhile sleep 5; do printf '\\nlight-test: %s.\\n' "$(${SEEN})" > /dev/console; done\n`;
    await device.sudo(['tee', TELLER], { input: teller });
    const unit = `[Service]\nExecStart=${TELLER}\n\n[Install]\nWantedBy=multi-user.target\n`;
    await device.sudo(['tee', TELLER_UNIT], { input: unit });
    await shell(`chmod 755 ${TELLER}; chmod 644 ${TELLER_UNIT}; systemctl enable light-test.service`);
    await shell("printf 'Nonsense yes\\n' > /etc/ssh/sshd_config.d/99-broken.conf");
    const earlier = (await readFile(card.guest.console, 'utf8')).length;
    const before = card.guest.starts();
    await device.sudo(['systemctl', 'reboot'], { okCodes: [0, 255] });
    const deadline = Date.now() + PATIENCE.ready * 1000;
    while (Date.now() < deadline && !(card.guest.starts() > before && /failed/.test(await statusText())))
      await sleep(5000);
    expect(await statusText()).toMatch(/failed at ready[\s\S]*SSH is not reachable[\s\S]*Nonsense/);

    const light = async (): Promise<string | undefined> => {
      const text = (await readFile(card.guest.console, 'utf8')).slice(earlier);
      return [...text.matchAll(/light-test: ([a-z-]+(?: \d+)*)\./g)].at(-1)?.[1];
    };
    const showsFailed = (): Promise<void> =>
      expect.poll(light, { timeout: 300_000, interval: 5000 }).toBe(LIGHTS.get('failed'));
    await showsFailed();
    // It is tried again a few times, and none of them makes the device start again, or opens another way in.
    await sleep(180_000);
    expect(card.guest.starts()).toBe(before + 1);
    await showsFailed();
    expect(await readFile(card.guest.console, 'utf8')).not.toMatch(ROOT_SHELL);
  });
});
