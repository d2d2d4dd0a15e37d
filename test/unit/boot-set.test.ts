import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

// overlays/boot-files/…/boot-set in a folder, with a hook that writes what raspi-firmware's writes.

const program = fileURLToPath(new URL('../../overlays/boot-files/usr/lib/amslpr/boot-set', import.meta.url));
const OLD = 'vmlinuz-6.1';
const CONFIG = (release: string): string =>
  `# Do not modify this file!\n\narm_64bit=1\n\nkernel=vmlinuz-${release}\ninitramfs initrd.img-${release}\n\n# Custom\ngpu_mem=16\n`;
/** The newest kernel of /boot, as the packaged hook chooses it, into the folder that is mounted there. */
const HOOK = `#!/bin/sh
set -e
to=\${SET:-$AMSLPR_ROOT/boot/firmware}
release=$(cd "$AMSLPR_ROOT/boot"; ls vmlinuz-* | sort -V | tail -n 1)
release=\${release#vmlinuz-}
echo "$SET" >> "$AMSLPR_ROOT/hook-ran"
cp "$AMSLPR_ROOT/boot/vmlinuz-$release" "$to/"
[ ! -e "$AMSLPR_ROOT/card-full" ] || exit 1
cp "$AMSLPR_ROOT/boot/initrd.img-$release" "$to/"
[ ! -e "$AMSLPR_ROOT/card-bad" ] || echo damaged > "$to/initrd.img-$release"
printf '# Do not modify this file!\\n\\narm_64bit=1\\n\\nkernel=vmlinuz-%s\\ninitramfs initrd.img-%s\\n\\n# Custom\\ngpu_mem=16\\n' $release $release > "$to/config.txt"
echo arguments > "$to/cmdline.txt"
[ -e "$AMSLPR_ROOT/no-tree" ] || echo tree > "$to/bcm2711-rpi-4-b.dtb"
`;

let root: string;
const at = (path: string): string => join(root, path);
const put = (path: string, text: string, mode = 0o644): void => {
  mkdirSync(dirname(at(path)), { recursive: true });
  writeFileSync(at(path), text);
  chmodSync(at(path), mode);
};
const boot = (name: string): string => readFileSync(at(`boot/firmware/${name}`), 'utf8');
const named = (): string => /^os_prefix=(.*)$/m.exec(boot('config.txt'))?.[1] ?? '';
const files = (folder: string): string[] => readdirSync(at(`boot/firmware/${folder}`)).sort();

function install(release: string, content = `of ${release}`): void {
  put(`boot/vmlinuz-${release}`, `kernel ${content}`);
  put(`boot/initrd.img-${release}`, `initramfs ${content}`);
}

function run(action = 'configure') {
  const env = { PATH: `${at('bin')}:${process.env['PATH']}`, AMSLPR_ROOT: root, DEB_MAINT_PARAMS: action };
  const { status, stderr } = spawnSync('sh', [program], { env, encoding: 'utf8' });
  return { status, stderr };
}

/** The device starts again. */
const start = (): void => rmSync(at('run/amslpr-boot-set'), { force: true });

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'amslpr-boot-set-'));
  put('bin/mountpoint', '#!/bin/sh\nexit 0\n', 0o755);
  // Instead of a mount, the hook is told where to write: the arguments end in the script's own three.
  put('bin/unshare', '#!/bin/sh\nwhile [ $# -gt 3 ]; do shift; done\nSET=$1 exec "$3"\n', 0o755);
  // Notes what is synced, and what config.txt names by then.
  put(
    'bin/sync',
    `#!/bin/sh\necho "sync $* $(sed -n 's/^os_prefix=//p' "$AMSLPR_ROOT/boot/firmware/config.txt")" >> "$AMSLPR_ROOT/synced"\n`,
    0o755,
  );
  put('usr/lib/amslpr/boot-writable', '#!/bin/sh\necho "$1" >> "$AMSLPR_ROOT/switched"\n', 0o755);
  put('etc/kernel/postinst.d/z50-raspi-firmware.distrib', HOOK, 0o755);
  mkdirSync(at('run/systemd/system'), { recursive: true });
  for (const name of ['set-a', 'set-b', 'set-c']) put(`boot/firmware/${name}/about.txt`, 'about\n');
  install('6.1');
  put(`boot/firmware/${OLD}`, 'kernel of 6.1');
  put('boot/firmware/initrd.img-6.1', 'initramfs of 6.1');
  put('boot/firmware/config.txt', CONFIG('6.1').padEnd(512, '\n'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

describe('boot files', () => {
  it('are written into a folder, which one sector then names', () => {
    install('6.2');
    expect(run()).toEqual({ status: 0, stderr: '' });
    expect(named()).toBe('set-a/');
    expect(boot('config.txt')).toMatch(/^arm_64bit=1\nkernel=vmlinuz-6.2\ninitramfs initrd.img-6.2\ngpu_mem=16\n+$/m);
    expect(boot('config.txt')).toHaveLength(512);
    expect(boot('set-a/vmlinuz-6.2')).toBe('kernel of 6.2');
    expect(boot(OLD), 'what was started from stays').toBe('kernel of 6.1');
    expect(readFileSync(at('switched'), 'utf8')).toBe('begin\nend\n');
    // A file of its own, since syncing FAT as a whole does not make the card keep what it was given.
    const file = at('boot/firmware/config.txt');
    const synced = readFileSync(at('synced'), 'utf8').split('\n');
    expect(synced.slice(0, 2)).toEqual(['sync  ', `sync ${file} `]);
    expect(synced.at(-2)).toBe(`sync ${file} set-a/`);
  });

  it('of this start stay, however often new ones are written, and so do the named ones until the next are there', () => {
    run();
    start();
    install('6.2');
    run();
    expect([named(), files('set-a')]).toEqual(['set-b/', expect.arrayContaining([OLD])]);
    expect(existsSync(at(`boot/firmware/${OLD}`)), 'those of the image make room').toBe(false);
    install('6.2', 'with another initramfs');
    put('card-full', '');
    expect(run().status).not.toBe(0);
    expect([named(), boot('set-b/vmlinuz-6.2')]).toEqual(['set-b/', 'kernel of 6.2']);
    rmSync(at('card-full'));
    expect(run().status).toBe(0);
    expect([named(), files('set-a'), files('set-b')]).toEqual(['set-c/', expect.arrayContaining([OLD]), ['about.txt']]);
  });

  it('have beside them the config.txt of the start before, which names files that are there', () => {
    const image = boot('config.txt');
    install('6.2');
    run();
    expect(boot('set-a/previous.txt')).toBe(image);
    // Another initramfs before the next start: what was started from is still that of the image.
    run();
    expect([named(), boot('set-b/previous.txt')]).toEqual(['set-b/', image]);
    start();
    const second = boot('config.txt');
    install('6.3');
    run();
    expect([named(), boot('set-a/previous.txt')]).toEqual(['set-a/', second]);
    expect(boot('set-b/vmlinuz-6.2')).toBe('kernel of 6.2');
  });

  it('are not named when they are not on the card as they are in /boot', () => {
    install('6.2');
    put('card-bad', '');
    const before = boot('config.txt');
    expect(run()).toEqual({ status: 1, stderr: expect.stringContaining('initrd.img-6.2 is not what was written') });
    expect(boot('config.txt')).toBe(before);
  });

  it('are not named when there is no device tree among them: the firmware would pass over the folder', () => {
    install('6.2');
    put('no-tree', '');
    expect(run()).toEqual({ status: 1, stderr: expect.stringContaining('has no device tree') });
    expect(named()).toBe('');
  });

  it('are left alone when another kernel is removed, and by steps of packages that change none', () => {
    for (const action of ['remove', 'upgrade 6.0', 'purge']) expect(run(action).status).toBe(0);
    expect(existsSync(at('hook-ran'))).toBe(false);
    rmSync(at(`boot/${OLD}`));
    install('6.0');
    expect(run('remove').status).toBe(0);
    expect(boot('config.txt')).toContain('kernel=vmlinuz-6.0');
  });

  it('do not fill the card with what checks of the file system have saved', () => {
    put('boot/firmware/FSCK0001.REC', 'half a kernel');
    run();
    expect(files('')).not.toContain('FSCK0001.REC');
  });

  it('that a person edited are replaced by a rename', () => {
    put('boot/firmware/config.txt', CONFIG('6.1'));
    run();
    expect(named()).toBe('set-a/');
    expect(files('')).not.toContain('config.new');
  });

  it('are those of the partition’s root in an image, where config.txt fills one sector', () => {
    put('bin/mountpoint', '#!/bin/sh\nexit 1\n', 0o755);
    rmSync(at('run/systemd'), { recursive: true });
    expect(run().status).toBe(0);
    expect([named(), boot('config.txt').length]).toEqual(['', 512]);
  });

  it('are not written into the folder where the partition is not mounted', () => {
    put('bin/mountpoint', '#!/bin/sh\nexit 1\n', 0o755);
    expect(run()).toEqual({ status: 1, stderr: expect.stringContaining('is not mounted') });
  });
});
