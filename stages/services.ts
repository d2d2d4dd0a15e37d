import { built, link, run, scan, symlink, text, unit, words } from '../src/core/shorthand.ts';
import { defineStage, Type } from '../src/core/stage.ts';
import { textOf } from '../src/core/values.ts';
import { socketsCheck } from './services/sockets.ts';

/** What Raspberry Pi OS Lite starts and a site without a desk, a modem or a cloud account has no use for. */
const unwanted = words(`
  bluez bluez-firmware pi-bluetooth cups-daemon modemmanager rpcbind nfs-common rpi-connect-lite
  rpi-usb-gadget triggerhappy udisks2 ssh-import-id cloud-init rpi-cloud-init-mods userconf-pi redis-server
  rsyslog exim4-base cron dhcpcd dphys-swapfile rpi-swap wireless-tools isc-dhcp-client apt-listchanges
`);

/** Masked, not only disabled: a disabled unit can still be started by D-Bus, by a socket or by an upgrade. */
const masked = words(`
  bluetooth.service hciuart.service ModemManager.service rpcbind.socket
  systemd-networkd.service systemd-networkd.socket systemd-networkd-wait-online.service systemd-resolved.service
  systemd-homed.service systemd-userdbd.socket systemd-mountfsd.socket systemd-nsresourced.socket debug-shell.service
  ctrl-alt-del.target proc-sys-fs-binfmt_misc.automount systemd-pcrextend.socket systemd-creds.socket
`);

const logins = words('getty@.service serial-getty@.service console-getty.service');

const allowed = words(`
  apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer logrotate.timer e2scrub_reap.service
  e2scrub_all.timer unattended-upgrades.service amslpr.service amslpr-* ssh.service sshd.service sshd-keygen.service ufw.service
  fail2ban.service NetworkManager.service NetworkManager-dispatcher.service wpa_supplicant.service systemd-timesyncd.service systemd-pstore.service
  remote-fs.target remote-cryptsetup.target getty@tty1.service man-db.timer tmp.mount
  console-setup.service keyboard-setup.service avahi-daemon.service avahi-daemon.socket
  aidecheck.service aidecheck.timer
`);

export const services = defineStage({
  name: 'services',
  title: 'Switch unneeded services off',
  about:
    'What a site does not need is not installed; what comes with a needed package is masked. Every unit that starts must be on a list. Add units of your own packages to `allow`.',
  guide: {
    4: built('A list of what may start; the rest is absent or masked, since a disabled unit can come back by itself.'),
  },

  options: Type.Object(
    {
      allow: Type.Array(textOf('unitPattern'), {
        default: [],
        description: 'Units that may also start at boot, for packages that you add.',
      }),
      consoleLogin: Type.Boolean({
        default: false,
        description: 'Let administrators log in with their password at the serial port and at the second screen.',
      }),
      watchdog: Type.Boolean({ default: true, description: "Let the Pi's watchdog reset a system that hangs." }),
    },
    { additionalProperties: false },
  ),

  contribute({ allow, consoleLogin, watchdog }, { target }) {
    const off = [...masked, ...(consoleLogin ? [] : logins)];
    return {
      purge: unwanted,
      ...(target.base === 'raspios' ? { allowed: { units: [...allowed, ...allow] } } : {}),
      files: [
        symlink('/etc/systemd/system-generators/systemd-debug-generator', '/dev/null'),
        ...(watchdog
          ? [text('/etc/systemd/system.conf.d/60-amslpr-watchdog.conf', '[Manager]\nRuntimeWatchdogSec=15\n')]
          : []),
      ],
      units: Object.fromEntries(off.map((name) => [name, 'masked' as const])),
      checks: {
        expected: scan('Every unit that starts is expected', 'enabled-units', {
          guide: [4],
          with: { allow: [...allowed, ...allow] },
        }),
        programs: scan('Every program that our units start is there', 'unit-programs'),
        ...(consoleLogin
          ? {}
          : { 'no-serial-login': unit('Nobody logs in at the serial port', 'serial-getty@.service', 'masked') }),
        bluetooth: unit('Bluetooth is off', 'bluetooth.service', 'masked', { guide: [4] }),
        'ctrl-alt-del': unit('Ctrl-Alt-Del reboots nothing', 'ctrl-alt-del.target', 'masked'),
        'no-debug-shell': link('No debug shell', '/etc/systemd/system-generators/systemd-debug-generator', '/dev/null'),
        running: run(
          'No unneeded service runs',
          'systemctl list-units --type=service --state=running --plain --no-legend',
          {
            guide: [4],
            lacks: /^(bluetooth|cups|ModemManager|rpcbind|udisks2|systemd-resolved|systemd-networkd)/m,
          },
        ),
      },
    };
  },

  collect: ({ openPorts }) => ({ checks: { sockets: socketsCheck(openPorts) } }),
});
