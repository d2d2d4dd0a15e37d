import { afterAll, beforeAll, expect, it } from 'vitest';
import { checkDevice } from '../../src/qemu/check.ts';
import type { Device } from '../../src/qemu/device.ts';
import { type Drive, drive, failures, PATIENCE, restart } from '../boot/drive.ts';
import { builtImage } from '../image/built-image.ts';

// The kernel that an archive will bring one day is made in the guest from its own: the same code under the next version,
// which is patched into the kernel (same length), so that it looks for its own modules. Module versions are checked by
// symbols, not by name. A metapackage of a local archive then pulls it in, as Debian's does.

const makeArchive = `
set -eu
export LC_ALL=C
old=$(uname -r)
patch=$(echo "$old" | cut -d. -f3 | cut -d+ -f1)
new=$(echo "$old" | sed "s/\\.$patch+/.$((patch + 1))+/")
[ \${#old} = \${#new} ]
pattern=$(echo "$old" | sed 's/[.]/\\\\./g')
archive=/data/archive; at=/data/archive-work
rm -rf $archive $at; mkdir -p $archive $at/DEBIAN $at/boot $at/usr/lib/modules
sed "s/$pattern/$new/g" /boot/vmlinuz-$old > $at/boot/vmlinuz-$new
[ "$(stat -c %s /boot/vmlinuz-$old)" = "$(stat -c %s $at/boot/vmlinuz-$new)" ]
for name in config System.map; do cp /boot/$name-$old $at/boot/$name-$new; done
cp -a /usr/lib/modules/$old $at/usr/lib/modules/$new
cp -a /usr/lib/linux-image-$old $at/usr/lib/linux-image-$new
for script in preinst postinst prerm postrm; do
  from=/var/lib/dpkg/info/linux-image-$old.$script
  if [ -e $from ]; then sed "s/$pattern/$new/g" $from > $at/DEBIAN/$script; chmod 755 $at/DEBIAN/$script; fi
done
fields() { printf 'Package: %s\\nVersion: 99.1\\nArchitecture: arm64\\nMaintainer: Test <test@example.org>\\n' "$1"; }
(fields linux-image-$new; echo 'Description: the kernel, one version later') > $at/DEBIAN/control
dpkg-deb --root-owner-group -Znone --build $at $archive/kernel.deb
rm -rf $at/*; mkdir $at/DEBIAN
(fields linux-image-arm64; echo "Depends: linux-image-$new"; echo 'Description: the newest kernel') > $at/DEBIAN/control
dpkg-deb --root-owner-group -Znone --build $at $archive/meta.deb
rm -rf $at
for deb in kernel meta; do
  dpkg-deb -f $archive/$deb.deb
  printf 'Filename: ./%s.deb\\nSize: %s\\nSHA256: %s\\n\\n' $deb "$(stat -c %s $archive/$deb.deb)" \\
    "$(sha256sum $archive/$deb.deb | cut -d' ' -f1)"
done > $archive/Packages
chmod 755 $archive
echo "deb [trusted=yes] file:$archive ./" > /etc/apt/sources.list.d/local.list
echo "$new"
`;

const upgrade = `
set -eu
export DEBIAN_FRONTEND=noninteractive
local="-o Dir::Etc::SourceList=/etc/apt/sources.list.d/local.list -o Dir::Etc::SourceParts=/dev/null"
apt-get -q $local update
apt-get -q -y $local --with-new-pkgs upgrade
rm -r /etc/apt/sources.list.d/local.list /data/archive
`;

let guest: Drive;
let device: Device;

beforeAll(async () => {
  guest = await drive((await builtImage()).image, 'card', 'upgrade');
  device = await guest.login();
  await device.waitFor('ready', PATIENCE.ready);
});
afterAll(async () => {
  await device?.ssh.close();
  await guest?.stop();
});

it('a kernel upgrade changes the kernel and nothing else of how the device starts', async () => {
  const old = (await device.ssh.run(['uname', '-r'])).stdout.trim();
  const before = guest.guest.cmdline();
  const running = (await device.ssh.run(['cat', '/proc/cmdline'])).stdout;
  const version = (await device.sudo(['sh', '-c', makeArchive], { timeout: 1800 })).trim().split('\n').at(-1) ?? '';
  expect(version).not.toBe(old);
  await device.sudo(['sh', '-c', upgrade], { timeout: 3600 });
  device = await restart(guest, device);
  await device.waitFor('ready', PATIENCE.ready);
  expect((await device.ssh.run(['uname', '-r'])).stdout.trim()).toBe(version);
  expect(guest.guest.cmdline().replaceAll(version, old)).toBe(before);
  expect((await device.ssh.run(['cat', '/proc/cmdline'])).stdout.replaceAll(version, old)).toBe(running);
  expect(failures(await checkDevice(guest.guest, device, guest.site.user))).toEqual([]);
});
