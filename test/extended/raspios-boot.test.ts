import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkDevice } from '../../src/qemu/check.ts';
import type { Device } from '../../src/qemu/device.ts';
import { type Drive, drive, failures, PATIENCE } from '../boot/drive.ts';
import { raspiosImage } from '../image/raspios-image.ts';

// Images on the stand-in for Raspberry Pi OS, booted to SSH and TLS. The kernel decides on the machine: the one without
// virtio starts on the emulated board, from its card, which takes several times as long.

describe.each([
  ['raspios', {}, 'virt'],
  ['raspios-no-virtio', { noVirtio: true }, 'raspi3b'],
] as const)('%s', (name, options, machine) => {
  let card: Drive;
  let device: Device;

  beforeAll(async () => {
    const { result } = await raspiosImage(name, options);
    card = await drive(result.image, 'card', 'north');
    device = await card.login();
    await device.waitFor('ready', machine === 'virt' ? PATIENCE.ready : 4 * PATIENCE.ready);
  }, 10_800_000);

  afterAll(async () => {
    await device?.ssh.close();
    await card?.stop();
  });

  it(`runs under ${machine}, as its drivers say`, () => {
    expect(card.guest.machine.name).toBe(machine);
  });

  it('passes every check, from inside and outside', async () => {
    expect(failures(await checkDevice(card.guest, device, card.site.user))).toEqual([]);
  });

  it('keeps the disk signature, and has no account but the admin', async () => {
    const cmdline = await device.sudo(['cat', '/proc/cmdline']);
    const signature = /root=PARTUUID=([0-9a-f]{8})-02/.exec(cmdline)?.[1] ?? '';
    expect(await device.sudo(['lsblk', '-rno', 'PTUUID'])).toContain(signature);
    expect(await device.sudo(['awk', '-F:', '$3>=1000&&$3<60000{print$1}', '/etc/passwd'])).toBe('driver');
  });
});
