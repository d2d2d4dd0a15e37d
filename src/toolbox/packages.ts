import type { ToolboxName } from '../engine/lock.ts';

/** What each toolbox holds, beside Debian's essential packages. */
export const TOOLBOX_PACKAGES: Readonly<Record<ToolboxName, readonly string[]>> = {
  build: [
    'age',
    'apt',
    'bmap-tools',
    'ca-certificates',
    'cryptsetup-bin',
    'debian-archive-keyring',
    'dosfstools',
    'e2fsprogs',
    'fdisk',
    'gcc',
    'initramfs-tools',
    'kmod',
    'libc6-dev',
    'libcap2-bin',
    'libext2fs-dev',
    'mmdebstrap',
    'mount',
    'mtools',
    'musl-tools',
    'openssl',
    'python3',
    'qemu-user',
    'systemd',
    'util-linux',
    'xz-utils',
    'zstd',
  ],
  boot: ['age', 'mtools', 'openssh-client', 'qemu-system-arm', 'qemu-utils', 'zstd'],
};
