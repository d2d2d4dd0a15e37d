# In the toolbox: the tree at /tmp/image becomes /tmp/out/raspios.img, by the sizes of pi-gen. Argument: usual or other.
image=/tmp/out/raspios.img
mib=1048576
start=16384; boot=1048576; features='-O ^64bit,^huge_file'
[ "$1" = usual ] || { start=8192; boot=524288; features=''; }
root=$((start + boot))
used=$(du --apparent-size -s -B1 --exclude=/tmp/image/boot/firmware /tmp/image | cut -f1)
size=$(( (used * 12 / 10 + 200 * mib + 8 * mib - 1) / (8 * mib) * 8 * mib ))
truncate -s $((root * 512 + size)) "$image"
printf 'label: dos\nlabel-id: 0x5ca1ab1e\nstart=%s, size=%s, type=c\nstart=%s, size=%s, type=83\n' $start $boot $root $((size / 512)) | sfdisk -q "$image"
mkfs.vfat -n bootfs -F 32 -s 1 --offset $start "$image" $((boot / 2))
export MTOOLS_SKIP_CHECK=1
mcopy -s -m -i "$image@@$((start * 512))" /tmp/image/boot/firmware/* ::/
mount -t tmpfs -o mode=755 tmpfs /tmp/image/boot/firmware
mke2fs -q -t ext4 -L rootfs $features -E offset=$((root * 512)) -d /tmp/image "$image" $((size / 1024))k
