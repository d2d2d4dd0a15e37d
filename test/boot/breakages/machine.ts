import type { Breakages } from './breakage.ts';
import { listener } from './listener.ts';

const limit = (zone: string): string =>
  `change /etc/nginx/conf.d/amslpr.conf '/zone=amslpr_${zone}/s/rate=[0-9]+/rate=60000/'; later nginx`;

const tls = (edit: string): string => `change /etc/nginx/snippets/amslpr-tls.conf '${edit}'; later nginx`;

/** The system below the application. Nothing here ends a service that another one needs. */
export const machine: Breakages = {
  'base-system/failed': 'systemd-run --quiet --wait --unit=broken /bin/false || true',

  'updates/effective': "change /etc/apt/apt.conf.d/52amslpr-updates '/Raspberry Pi Foundation/d'",
  'updates/signed': "change /etc/apt/apt.conf.d/52amslpr-updates '/AllowInsecure/s/false/true/'",
  'updates/waits': 'systemctl stop apt-daily-upgrade.timer',
  'updates/no-trusted': "change /etc/apt/sources.list.d/debian.sources 's/^Types: deb$/&\\nTrusted: yes/'",
  'updates/own-minute': "change /etc/apt/apt.conf.d/53amslpr-reboot-minute 's/[0-9]+:/25:/'",

  'accounts/backups': "change /etc/shadow- ''; chmod 0644 /etc/shadow-",
  'accounts/root-locked': "change /etc/shadow '/^root:/s/:[^:]*:/:$6$salt$hash:/'",
  // sudo says so each time and goes on with the other files.
  'accounts/sudoers': "change /etc/sudoers.d/README '$a nonsense'",

  'sshd/no-passwords': "change /etc/ssh/sshd_config 's/^PasswordAuthentication no$/PasswordAuthentication yes/'",
  'sshd/no-forwarding': "change /etc/ssh/sshd_config '/^DisableForwarding/d'",
  'sshd/no-root': "change /etc/ssh/sshd_config 's/^PermitRootLogin no$/PermitRootLogin prohibit-password/'",
  'sshd/admins-only': "change /etc/ssh/sshd_config '/^AllowGroups/d'",
  'sshd/post-quantum': "change /etc/ssh/sshd_config 's/^KexAlgorithms .*/&,curve25519-sha256/'",
  'sshd/one-key': "change /etc/ssh/sshd_config '$a HostKey /etc/ssh/ssh_host_rsa_key'",

  'services/running': 'systemd-run --quiet --unit=rpcbind sleep infinity',
  'services/sockets': `systemd-run --quiet --unit=listener python3 -c '${listener('SOCK_STREAM', 8080)}'`,
  'mdns/silent': `systemd-run --quiet --unit=mdns python3 -c '${listener('SOCK_DGRAM', 5353)}'`,

  // A guest of the tests has a serial adapter in its port, which no rule admits.
  'usb/admitted': 'for one in /sys/bus/usb/devices/1-*:*; do echo 1 > $one/authorized; done',

  'kernel/pointers': 'sysctl -qw kernel.kptr_restrict=0',
  'kernel/core-dumps': 'sysctl -qw kernel.core_pattern=core',
  'kernel/redirects': 'sysctl -qw net.ipv4.conf.all.rp_filter=0',
  'kernel/martians': 'sysctl -qw net.ipv4.conf.all.log_martians=0',
  'kernel/panic': 'sysctl -qw kernel.panic=0',
  // Both are decided when the kernel starts: it is made to say what it would say of another start.
  'kernel/security-modules': "change /sys/kernel/security/lsm 's/yama,//'",
  'kernel/arguments': "change /proc/cmdline 's/init_on_alloc=1 //'",
  'boot-files/started': "change /proc/cmdline 's/root=PARTUUID=[^ ]*/root=\\/dev\\/vda2/'",

  'mounts/tmp-options': 'mount -o remount,exec /tmp',
  'mounts/shm-options': 'mount -o remount,exec /dev/shm',
  'mounts/dev-options': 'mount -o remount,exec /dev',
  'mounts/boot-options': 'mount -o remount,rw /boot/firmware',
  'mounts/apt-writes-boot': 'change /etc/apt/apt.conf.d/60amslpr-boot-writable d',

  'journal/rotates': "change /etc/logrotate.d/apt 's/rotate [0-9]+/rotate many/'",
  'network/connections-private':
    'copy /etc/NetworkManager/system-connections; chmod 0644 /etc/NetworkManager/system-connections/*',
  'network/effective': "change /etc/NetworkManager/conf.d/60-amslpr.conf '/^auth-polkit/d'",

  'monitoring/waits': 'systemctl stop amslpr-monitor.timer',
  // A look that does not see its file, twice: once could be chance. The card is not told, or it would know for days.
  'monitoring/looks':
    'cover /var/spool/amslpr; drop_in amslpr-monitor Service InaccessiblePaths=/proc/meminfo; systemctl start amslpr-monitor; systemctl start amslpr-monitor',
  'monitoring/works': 'drop_in amslpr-monitor Service ExecStartPre=/bin/false',
  'monitoring/heard': 'change /etc/systemd/system/nginx.service.d/50-amslpr-alert.conf d; systemctl daemon-reload',

  'auditing/runs': 'auditctl -e 0',
  'auditing/loaded': 'auditctl -D',

  'integrity/same': "change /etc/issue 's/^/Welcome. /'; systemctl start amslpr-integrity",
  'integrity/works': 'drop_in amslpr-integrity Service ExecStartPre=/bin/false',
  'integrity/hooked': "change /etc/apt/apt.conf.d/90amslpr-integrity '/Post-Invoke/d'",
  'aide/valid': 'mount --bind /etc/hostname /etc/aide/aide.conf',
  'aide/record': 'mount --bind /bin/false /usr/lib/amslpr/aide-record',

  'first-boot/ready': "change /run/amslpr-device/status.json 's/ready/working/'",
  'first-boot/admin-keys':
    'copy /etc/ssh/authorized_keys.d; touch /etc/ssh/authorized_keys.d/stranger; chmod 0666 /etc/ssh/authorized_keys.d/stranger',
  'first-boot/no-ageing': "change /etc/shadow '/^driver:/s/^(([^:]*:){4})[^:]*/\\190/'",
  'first-boot/bundle': 'for file in /boot/firmware/bundle.*; do mount --bind /etc/hostname $file; done',
  'first-boot/report': 'mount --bind /etc/hostname /boot/firmware/report.json',
  'first-boot/site-file': "change /boot/firmware/site.yaml 's/^\\.\\.\\.$/wifi:\\n  psk: not a secret\\n&/'",
  'first-boot/state': { run: 'chmod 0755 /var/lib/amslpr-device', mend: 'chmod 0700 /var/lib/amslpr-device' },

  'first-boot/fernet-key': 'copy /var/lib/amslpr/config; chmod 0644 /var/lib/amslpr/config/crypto.key',

  'tls/tls-1.2': tls('s/TLSv1.2 //'),
  'tls/no-tls-1.1': tls(
    's/^ssl_protocols.*/ssl_protocols TLSv1.1 TLSv1.3;/; s/^ssl_ciphers.*/ssl_ciphers ALL:@SECLEVEL=0;/',
  ),
  'nginx/limit-requests': limit('requests'),
  'nginx/limit-logins': limit('logins'),

  'network/cameras': 'ip link add cameras type dummy',
  'firewall/active': 'change /etc/default/ufw \'s/^DEFAULT_INPUT_POLICY=.*/DEFAULT_INPUT_POLICY="ACCEPT"/\'',
  'firewall/no-forward': 'sysctl -qw net.ipv4.ip_forward=1',
  'firewall/loaded': 'iptables -I INPUT -p tcp --dport 8080 -j ACCEPT',
  'firewall/ports': 'copy /etc/ufw; ufw allow 8080/tcp',
  'incident/connected': { run: 'amslpr-device isolate --keep 10.0.2.2', mend: 'amslpr-device isolate end' },
};
