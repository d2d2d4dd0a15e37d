import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { readImage } from '../../src/audit/image.ts';
import { auditImage } from '../../src/audit/report.ts';
import type { Tree } from '../../src/audit/tree.ts';
import { silent } from '../../src/core/log.ts';
import { type RaspiosImage, raspiosImage } from './raspios-image.ts';

// An image on the stand-in for Raspberry Pi OS. Making both takes several minutes the first time.

let made: RaspiosImage;
beforeAll(async () => {
  made = await raspiosImage('raspios');
}, 3_600_000);

describe('the untouched image', () => {
  it('fails the audit with a reason for each thing that waits for its first boot or is dangerous', async () => {
    const report = await auditImage(made.image, made.plan.checks, silent);
    const failed = new Map(
      report.results.filter(({ outcome }) => outcome === 'fail').map((one) => [one.id, one.evidence]),
    );
    const expected: Record<string, RegExp> = {
      'raspberry-pi-os/wizard': /enabled/,
      'raspberry-pi-os/wizard-package': /userconf-pi/,
      'raspberry-pi-os/cloud-init': /cloud-init/,
      'raspberry-pi-os/cloud-init-settings': /\/etc\/cloud/,
      'raspberry-pi-os/seeds': /user-data/,
      'raspberry-pi-os/ssh-switch': /enabled/,
      'raspberry-pi-os/resize': /enabled/,
      'raspberry-pi-os/bootloader': /enabled/,
      'raspberry-pi-os/signature': /set_partuuid|resize_early/,
      'raspberry-pi-os/origins': /raspi\.sources/,
      'boot-files/cmdline': /has resize/,
      'boot-files/conffiles': /changed/,
      'base-system/no-compiler': /gcc/,
      'base-system/no-debugger': /gdb/,
      'base-system/leftovers': /resolv\.conf/,
      'base-system/accounts': /pi \(uid 1000\)/,
      'base-system/capabilities': /capable/,
      'accounts/no-nopasswd': /010_pi-nopasswd/,
      'services/mdns': /enabled|disabled/,
      'services/expected': /userconfig|sshswitch/,
      'updates/origins': /not there/,
      'journal/limits': /not there/,
    };
    for (const [id, evidence] of Object.entries(expected)) expect(failed.get(id), id).toMatch(evidence);
  });
});

describe('the image that is built on it', () => {
  let tree: Tree;
  beforeAll(async () => {
    tree = await readImage(made.result.image, { keep: ['/etc/**', '/boot/firmware/*.txt', '/var/lib/dpkg/**'] });
  }, 600_000);

  it('passes every offline check', async () => {
    const report = await auditImage(made.result.image, made.plan.checks, silent);
    const failures = report.results.filter(({ outcome }) => outcome === 'fail');
    expect(failures.map(({ id, evidence, expected }) => `${id}: ${evidence}; ${expected}`)).toEqual([]);
    expect(report.results.length).toBeGreaterThan(100);
  });

  it('fits a small 4 GB card', () => {
    expect(tree.disk?.size).toBeLessThan(3_880_000_000);
  });

  it('has an initramfs for each kernel on the boot partition', () => {
    for (const name of ['kernel8.img', 'kernel_2712.img', 'initramfs8', 'initramfs_2712']) {
      expect(tree.get(`/boot/firmware/${name}`)?.size, name).toBeGreaterThan(1_000_000);
    }
    expect(tree.archives.map(({ path }) => path).sort()).toEqual(
      expect.arrayContaining(['/boot/firmware/initramfs8', '/boot/firmware/initramfs_2712']),
    );
    for (const archive of tree.archives) {
      expect(archive.error).toBeUndefined();
      expect(
        archive.files.some(({ path }) => path.endsWith('etc/modprobe.d/amslpr.conf')),
        archive.path,
      ).toBe(true);
    }
  });

  it('keeps what config.txt says, and adds our lines for every board', () => {
    const text = tree.text('/boot/firmware/config.txt') ?? '';
    expect(text).toMatch(/^auto_initramfs=1$/m);
    expect(text).toMatch(/^dtoverlay=vc4-kms-v3d$/m);
    expect(text.slice(text.lastIndexOf('[all]'))).toMatch(/^disable_splash=1$/m);
  });

  it('keeps its own sources, for one CPU only, and updates from all of them', () => {
    expect(tree.text('/etc/apt/sources.list.d/raspi.sources')).toContain(`URIs: file://${made.archive}`);
    expect(tree.text('/var/lib/dpkg/arch')?.trim() ?? 'arm64').toBe('arm64');
    expect(tree.text('/etc/apt/apt.conf.d/53amslpr-origins')).toContain('"origin=Raspberry Pi Foundation,');
  });

  it("has the newer package of Raspberry Pi's archive", () => {
    expect(tree.text('/var/lib/dpkg/status')).toMatch(/^Package: rpi-eeprom\n(?:.+\n)*?Version: 2\.0\+rpt1$/m);
  });

  it('was built without telling the device where on this host the base lies', async () => {
    const text =
      tree.text('/usr/share/amslpr/image.json') ?? (await readFile(join(made.archive, '..', 'recipe'), 'utf8'));
    expect(text).not.toContain(made.image);
  });
});
