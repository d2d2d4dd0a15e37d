# In the image: its packages that are not Debian's. The firmware's hooks are new, and Debian's kernel, which belongs to
# linux-image-rpi-v8 from now on, was installed before them.
export INITRD=No
dpkg --add-architecture armhf
dpkg --purge linux-image-arm64
dpkg -i --force-confnew /var/standin/*.deb
for image in /boot/vmlinuz-*; do
  /etc/kernel/postinst.d/z50-raspi-firmware "${image#/boot/vmlinuz-}" "$image"
done
