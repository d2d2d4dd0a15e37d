import { copyFile, open } from 'node:fs/promises';

/** Units that no step of the first boot waits for; without them a boot is quicker. */
export const MASKED: readonly string[] = [
  // The network, and who may use it: no cut is about them, and nobody logs in. sshd stays: the last step asks for it.
  ...services('NetworkManager', 'NetworkManager-wait-online', 'NetworkManager-dispatcher', 'wpa_supplicant', 'ufw'),
  ...services('fail2ban', 'systemd-timesyncd', 'systemd-user-sessions'),
  // The application, what stands before it, and the screen.
  ...services('nginx', 'amslpr', 'amslpr-apparmor', 'amslpr-console', 'amslpr-reboot-minute'),
  // Upkeep.
  ...services('auditd', 'unattended-upgrades', 'apt-daily', 'apt-daily-upgrade', 'e2scrub_reap', 'systemd-logind'),
  ...services('amslpr-aide', 'amslpr-journal', 'ldconfig', 'systemd-journal-catalog-update', 'systemd-update-done'),
  // What the board does not have, or nobody here looks at.
  ...services('modprobe@configfs', 'modprobe@drm', 'modprobe@efi_pstore', 'modprobe@fuse'),
  ...services('systemd-binfmt', 'systemd-hibernate-clear', 'systemd-pcrmachine', 'systemd-pstore'),
  ...services('systemd-tpm2-setup', 'systemd-tpm2-setup-early', 'systemd-udev-load-credentials'),
  ...['dev-hugepages.mount', 'dev-mqueue.mount', 'sys-fs-fuse-connections.mount', 'sys-kernel-config.mount'],
  ...['sys-kernel-debug.mount', 'sys-kernel-tracing.mount', 'systemd-ask-password-console.path'],
  ...['systemd-ask-password-wall.path', 'systemd-hostnamed.socket', 'systemd-initctl.socket', 'systemd-sysext.socket'],
  ...['getty.target', 'timers.target'],
];

function services(...names: string[]): string[] {
  return names.map((name) => `${name}.service`);
}

/**
 * Masks them by a second archive behind the image's own initramfs: its init reads /conf/param.conf after each of its
 * scripts, and a link in this folder of /run counts more than the units of the image. Nothing on the card changes.
 */
export async function maskedInitramfs(initramfs: string, out: string): Promise<void> {
  const folder = '/run/systemd/system.control';
  const links = MASKED.map((unit) => `ln -sf /dev/null ${folder}/${unit}`);
  const script = [`if [ ! -d ${folder} ]; then`, `mkdir -p ${folder}`, ...links, 'fi', ''].join('\n');
  await copyFile(initramfs, out);
  const file = await open(out, 'a');
  try {
    const { size } = await file.stat();
    const archive = Buffer.concat([entry('conf/param.conf', script), entry('TRAILER!!!', '')]);
    await file.write(Buffer.concat([Buffer.alloc(-size & 3), archive]));
  } finally {
    await file.close();
  }
}

/** A file in the cpio format `newc`. */
function entry(name: string, content: string): Buffer {
  const fields = [0, 0o100644, 0, 0, 1, 0, content.length, 0, 0, 0, 0, name.length + 1, 0];
  const header = `070701${fields.map((value) => value.toString(16).padStart(8, '0')).join('')}${name}\0`;
  const padded = (text: string): string => text.padEnd(Math.ceil(text.length / 4) * 4, '\0');
  return Buffer.from(padded(header) + padded(content));
}
