# After the initramfs files were made.
cd /tmp/image
sed -i 's/^MODULES=.*/MODULES=dep/' etc/initramfs-tools/initramfs.conf
rm -rf etc/ssh/ssh_host_* var/lib/apt/lists/* var/cache/apt/*.bin var/cache/apt/archives/*.deb
rm -f etc/machine-id; printf 'uninitialized\n' > etc/machine-id
find var/log -type f -exec truncate -s 0 {} +
find tmp var/tmp run -mindepth 1 -delete
