import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { readImage } from '../../src/audit/image.ts';
import { auditImage } from '../../src/audit/report.ts';
import { toolboxTools } from '../../src/audit/tools.ts';
import type { Tree } from '../../src/audit/tree.ts';
import { silent } from '../../src/core/log.ts';
import { findMirrors } from '../../src/engine/archive.ts';
import { baseFolder } from '../../src/engine/base/layer.ts';
import { partsOf, refuseOtherSystems } from '../../src/engine/base/parts.ts';
import { openCache } from '../../src/host/cache.ts';
import { newFolder, removeTree } from '../../src/host/folders.ts';
import { openNamespace } from '../../src/host/namespace.ts';
import { hostRunner } from '../../src/host/runner.ts';
import { openToolbox } from '../../src/toolbox/toolbox.ts';
import { type RaspiosImage, raspiosImage } from './raspios-image.ts';
import { debugfs } from './small-image.ts';

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
      'mdns/off': /enabled|disabled/,
      'services/expected': /userconfig|sshswitch/,
      'updates/origins': /not there/,
      'journal/limits': /not there/,
    };
    for (const [id, evidence] of Object.entries(expected)) expect(failed.get(id), id).toMatch(evidence);
  });
});

describe('its root file system', () => {
  // Read, unpacked as a layer, written anew and read again: what two listings of the archives say has to be the same, times
  // by the second. Left out are lost+found, which mke2fs makes, the root's own time, which that changes, and the boot
  // partition.
  const SCRIPT = `
list() { /tmp/ext4-tar "$1" "$2" "$3" -u 2>/dev/null | python3 -I /tmp/tar_list.py | grep -vE '^[{]"path": "[.]/(lost[+]found|boot/firmware)/?"' | sed '1s/"time": [0-9]*//' > "$4"; }
list /tmp/base "$1" "$2" /tmp/before
mount -t tmpfs -o mode=755 tmpfs /tmp/image/boot/firmware
truncate -s "$2" /tmp/out/root.img
unset SOURCE_DATE_EPOCH
mke2fs -q -t ext4 -E root_owner=0:0 -d /tmp/image /tmp/out/root.img
list /tmp/out/root.img 0 "$2" /tmp/after
wc -l < /tmp/before
grep -c SCHILY /tmp/before
diff /tmp/before /tmp/after | head -n 40
`;

  it('survives being unpacked and written anew: owners, modes, attributes, links, sparse files, times', async () => {
    const cache = await openCache();
    const namespace = await openNamespace(cache);
    const { lock, image } = made;
    const { base } = lock;
    if (base === undefined) throw new Error('the lock has no base');
    const place = { cache, namespace, log: silent, lock, mirrors: () => findMirrors() };
    const toolbox = await openToolbox('build', place);
    const [program = ''] = (await toolboxTools(toolbox)).ext4Tar;
    const { root } = await partsOf(image, image);
    const scratch = await newFolder(cache, 'test-root');
    try {
      const { stdout } = await toolbox.run(['sh', '-euc', SCRIPT, 'sh', String(root.offset), String(root.size)], {
        mounts: [
          { kind: 'bind', source: image, target: '/tmp/base' },
          { kind: 'bind', source: program, target: '/tmp/ext4-tar' },
          { kind: 'bind', source: join(import.meta.dirname, '../helpers/tar_list.py'), target: '/tmp/tar_list.py' },
          { kind: 'stack', lower: [baseFolder(cache, base)], target: '/tmp/image' },
          { kind: 'bind', source: join(scratch, 'fs'), target: '/tmp/out', write: true },
        ],
        unsynced: true,
      });
      const [lines = '', attributes = '', ...differences] = stdout.trim().split('\n');
      expect(Number(lines)).toBeGreaterThan(10_000);
      expect(Number(attributes)).toBeGreaterThan(3);
      expect(differences).toEqual([]);
    } finally {
      await removeTree(cache, namespace, scratch);
    }
  }, 1_200_000);

  it('of another release, or for another CPU, is refused by name', async () => {
    const cache = await openCache();
    const namespace = await openNamespace(cache);
    const { lock, image } = made;
    const place = { cache, namespace, log: silent, lock, mirrors: () => findMirrors() };
    const toolbox = await openToolbox('build', place);
    const parts = await partsOf(image, image);
    await refuseOtherSystems({ ...place, toolbox }, image, parts, image);
    const folder = await mkdtemp(join(tmpdir(), 'amslpr-raspios-'));
    try {
      const changed = join(folder, 'other.img');
      await hostRunner.run(['cp', '--sparse=always', '--reflink=auto', image, changed]);
      await writeFile(
        join(folder, 'os-release'),
        'PRETTY_NAME="Raspbian GNU/Linux 12 (bookworm)"\nVERSION_CODENAME=bookworm\n',
      );
      const commands = ['rm /usr/lib/os-release', `write ${join(folder, 'os-release')} /usr/lib/os-release`];
      await debugfs(changed, commands, parts.root.offset);
      await expect(refuseOtherSystems({ ...place, toolbox }, changed, parts, 'other.img')).rejects.toThrow(
        'other.img cannot be a base: it holds Raspbian GNU/Linux 12 (bookworm), and only trixie can be built on',
      );
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }, 600_000);
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
    expect(tree.get('/etc/apt/sources.list')?.type).toBe('file');
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
