import { words } from '../../src/core/shorthand.ts';

/** What Raspberry Pi OS Lite has of Debian, as far as it matters here; what a site must lose is among it. */
export const debianPackages = words(`
  apt apt-utils apt-listchanges debian-archive-keyring ca-certificates
  systemd-sysv systemd-timesyncd dbus udev kmod login passwd procps libpam-systemd sudo
  linux-image-arm64 raspi-firmware initramfs-tools zstd firmware-brcm80211 wireless-regdb
  openssh-server ssh-import-id network-manager wpasupplicant netplan.io iproute2 iputils-ping iw rfkill
  cloud-init avahi-daemon udisks2 cron rpcbind nfs-common cifs-utils bluez
  build-essential gdb strace python3 less nano man-db parted e2fsprogs dosfstools fdisk usbutils
  console-setup keyboard-configuration tzdata acl libcap2-bin
`);
