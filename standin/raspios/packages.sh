# Makes the package files; they come on standard output as a tar archive. Arguments: Debian's kernel package, virtio or no-virtio.
kernel=$1
virtio=$2
release=${kernel#linux-image-}
# It sorts before the kernel that starts here, as rpi-2712 before rpi-v8: some tools take the last one for the newest.
pi5=${release%-arm64}-2712
mkdir /tmp/build /tmp/debs
cp -r /tmp/source/. /tmp/build/
cd /tmp/build
sed -i "s/@KERNEL@/$kernel/; s/@RELEASE@/$pi5/" */DEBIAN/control
mkdir rpi-eeprom-new && cp -r rpi-eeprom/. rpi-eeprom-new/
sed -i 's/^Version: .*/Version: 2.0+rpt1/' rpi-eeprom-new/DEBIAN/control

dpkg-deb -R /tmp/firmware.deb raspi-firmware
cp /tmp/firmware/postinst.d/* raspi-firmware/etc/kernel/postinst.d/
cp /tmp/firmware/post-update.d/* raspi-firmware/etc/initramfs/post-update.d/
rm -rf raspi-firmware/etc/default raspi-firmware/etc/kernel/postrm.d raspi-firmware/usr/share/initramfs-tools raspi-firmware/DEBIAN/p*
printf '%s\n' /etc/kernel/postinst.d/z50-raspi-firmware /etc/initramfs/post-update.d/z50-raspi-firmware > raspi-firmware/DEBIAN/conffiles
sed -i 's/^Version: .*/Version: 1:1.20260521-1+rpt1/' raspi-firmware/DEBIAN/control

dpkg-deb -R /tmp/kernel.deb "$kernel"
without() { find "$1" -name 'virtio*.ko*' -delete; }
if [ "$virtio" = no-virtio ]; then
  without "$kernel"
  sed -i 's/^Version: .*/&+rpt1/' "$kernel/DEBIAN/control"
fi
# The second flavour: the same kernel by another name, with the drivers that matter. Nothing here starts it.
mkdir "linux-image-$pi5"
mkdir -p "linux-image-$pi5/DEBIAN" "linux-image-$pi5/boot" "linux-image-$pi5/usr/lib/modules/$pi5"
for file in vmlinuz config System.map; do
  cp "$kernel/boot/$file-$release" "linux-image-$pi5/boot/$file-$pi5"
done
modules=usr/lib/modules
[ -d "$kernel/$modules" ] || modules=lib/modules
for part in kernel/drivers/md kernel/drivers/mmc kernel/drivers/block kernel/fs/ext4 kernel/fs/fat kernel/crypto kernel/lib; do
  [ -d "$kernel/$modules/$release/$part" ] || continue
  mkdir -p "linux-image-$pi5/usr/lib/modules/$pi5/$(dirname $part)"
  cp -r "$kernel/$modules/$release/$part" "linux-image-$pi5/usr/lib/modules/$pi5/$part"
done
without "linux-image-$pi5"
cp "$kernel/$modules/$release"/modules.builtin* "$kernel/$modules/$release"/modules.order "linux-image-$pi5/usr/lib/modules/$pi5/"
cat > "linux-image-$pi5/DEBIAN/control" <<END
Package: linux-image-$pi5
Version: 1:6.12.47-1+rpt1
Architecture: arm64
Maintainer: Stand-in <stand-in@example.invalid>
Depends: kmod, initramfs-tools
Description: stand-in for the kernel for Pi 5
END
cat > "linux-image-$pi5/DEBIAN/postinst" <<END
#!/bin/sh -e
depmod $pi5
DEB_MAINT_PARAMS="\$*" run-parts --report --exit-on-error --arg=$pi5 --arg=/boot/vmlinuz-$pi5 /etc/kernel/postinst.d
END
cat > "linux-image-$pi5/DEBIAN/prerm" <<END
#!/bin/sh -e
rm -f /usr/lib/modules/$pi5/modules.*.bin
END
[ "$virtio" = no-virtio ] || rm -rf "$kernel"

find . -path '*/bin/*' -type f -exec chmod 755 {} +
find . -path '*/raspberrypi-sys-mods/sshswitch' -o -path '*/userconf-pi/userconf-service' -o -path '*/initramfs-tools/scripts/*/*' -o -path '*.d/z50-raspi-firmware' | xargs chmod 755
for package in *; do
  (cd "$package" && find . -type f ! -path './DEBIAN/*' -printf '%P\n' | LC_ALL=C sort | xargs -r md5sum > /tmp/sums)
  grep -vxF "$(sed 's|^/||' "$package/DEBIAN/conffiles" 2>/dev/null || echo none)" /tmp/sums > "$package/DEBIAN/md5sums" || true
  chmod -R go-w,a+rX "$package"
  [ ! -d "$package/etc/sudoers.d" ] || chmod 440 "$package"/etc/sudoers.d/*
  chmod 755 "$package"/DEBIAN/p* 2>/dev/null || true
  dpkg-deb --root-owner-group -Zgzip -z1 --build "$package" /tmp/debs >&2
done
tar -C /tmp/debs -c .
