# After the initramfs files were made.
echo MODULES=dep > /etc/initramfs-tools/conf.d/zzz-dep
rm -f /boot/initrd.img-*
