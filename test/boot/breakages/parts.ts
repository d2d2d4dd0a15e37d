import type { Breakages } from './breakage.ts';

/** The jail reads something else in the journal. */
const rematch = (match: string): string =>
  `until fail2ban-client status sshd >/dev/null; do sleep 1; done; fail2ban-client get sshd journalmatch | tail -n 1 | sed 's/ [+] /\\n/g' | while read -r one; do fail2ban-client set sshd deljournalmatch $one; done; fail2ban-client set sshd addjournalmatch ${match}`;

/** What others need: services, the firewall's tools, the encrypted partition. Comes last, since much fails with it. */
export const parts: Breakages = {
  'fail2ban/follows':
    'drop_in fail2ban Service InaccessiblePaths=/var/log/journal; systemctl restart fail2ban; until fail2ban-client ping; do sleep 1; done',
  'fail2ban/boot': rematch('_SYSTEMD_UNIT=ssh.service'),
  'fail2ban/sshd': rematch('_COMM=other'),
  'fail2ban/login': 'fail2ban-client stop amslpr-login',
  'fail2ban/retries': 'fail2ban-client set sshd maxretry 100',
  'fail2ban/ban': 'fail2ban-client set sshd bantime 1',
  'fail2ban/valid': "change /etc/fail2ban/jail.d/amslpr.local '1i [nonsense'",

  'application/active': 'systemctl stop amslpr',
  // Only now: the wrapper closes the file at every request.
  'first-boot/web-accounts': 'copy /var/lib/amslpr/config; chmod 0644 /var/lib/amslpr/config/users.json',
  'application/encrypted': 'mount -t tmpfs none /var/lib/amslpr/data',
  'application/releases': 'cover /opt/amslpr/releases',
  'nginx/valid': "change /etc/nginx/conf.d/amslpr.conf '$a nonsense;'",
  'nginx/serves': 'systemctl stop nginx',

  'first-boot/host-key-mode': "change /etc/ssh/ssh_host_ed25519_key ''; chmod 0640 /etc/ssh/ssh_host_ed25519_key",

  'journal/persistent': 'cover /var/log/journal',
  'journal/encrypted': 'cover /var/log/journal',
  'journal/readers': 'cover /var/log/journal; install -m 0644 /dev/null /var/log/journal/open.journal',
  'auditing/written': 'cover /var/log/audit',
  'monitoring/mail': 'cover /var/spool/amslpr',
  'monitoring/status': `change /usr/lib/amslpr/amslpr_device/service.py "s/'alerts': /'notes': /"`,

  'incident/support': 'copy /etc/amslpr/secrets; uname -r > /etc/amslpr/secrets/canary',
  'incident/isolates': 'mount --bind /bin/false /usr/sbin/nft',
  'firewall/backend': 'mount --bind /usr/sbin/xtables-legacy-multi /usr/sbin/xtables-nft-multi',

  'data/options': 'mount -o remount,bind,exec /var/log/nginx',
  'data/binds': 'cover /var/log/nginx',
  'data/partition': 'sed -Ei "s/^(E:ID_FS_LABEL.*)=.*/\\1=other/" /run/udev/data/b$(lsblk -ndo MAJ:MIN /dev/vda4)',
  // Another container under this name: a plain mapping, which has no key slots and no recovery key.
  'data/container': {
    run: 'dmsetup rename amslpr-data aside; truncate -s 1M $F/disk; losetup -f $F/disk; echo | cryptsetup open --type plain --cipher aes-cbc-plain --key-size 256 --hash sha256 $(losetup -nO NAME -j $F/disk) amslpr-data',
    mend: 'cryptsetup close amslpr-data; dmsetup rename aside amslpr-data',
  },
};
