# In the toolbox: the tree at /tmp/image becomes /tmp/out/raspios.img, by the sizes of pi-gen.
image=/tmp/out/raspios.img
mib=1048576
used=$(du --apparent-size -s -B1 --exclude=/tmp/image/boot/firmware /tmp/image | cut -f1)
root=$(( (used * 12 / 10 + 200 * mib + 8 * mib - 1) / (8 * mib) * 8 * mib ))
truncate -s $((545259520 + root)) "$image"
printf 'label: dos\nlabel-id: 0x5ca1ab1e\nstart=16384, size=1048576, type=c\nstart=1064960, size=%s, type=83\n' $((root / 512)) | sfdisk -q "$image"
mkfs.vfat -n bootfs -F 32 -s 1 --offset 16384 "$image" 524288
export MTOOLS_SKIP_CHECK=1
mcopy -s -m -i "$image@@8388608" /tmp/image/boot/firmware/* ::/
mount -t tmpfs -o mode=755 tmpfs /tmp/image/boot/firmware
mke2fs -q -t ext4 -L rootfs -O ^64bit,^huge_file -E offset=545259520 -d /tmp/image "$image" $((root / 1024))k
