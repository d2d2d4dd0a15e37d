import { words } from '../../../src/core/shorthand.ts';
import type { Breakages } from './breakage.ts';
import { listener } from './listener.ts';

const site = '/etc/nginx/sites-available/amslpr';
const closed = '/etc/nginx/sites-available/amslpr-closed';
const headers = '/etc/nginx/snippets/amslpr-headers.conf';
const tls = '/etc/nginx/snippets/amslpr-tls.conf';
const certificate = '/etc/amslpr/ssl/cert.pem';
const secrets = '/etc/amslpr/secrets';

/** nginx with other settings than ours. */
const nginx = (file: string, edit: string): string => `change ${file} '${edit}'; later nginx`;

/** Another certificate for the same key; without a word about names, as openssl makes one by itself. */
const certify = (dates: string): string =>
  `change ${certificate} ''; openssl req -x509 -key /etc/amslpr/ssl/key.pem -subj /CN=other ${dates} > ${certificate}`;

/** Lines that take a sandbox away. */
const loose = words(`
  NoNewPrivileges=no ProtectSystem=no ProtectHome=no PrivateNetwork=no PrivateDevices=no RestrictNamespaces=no
  SystemCallFilter= CapabilityBoundingSet=~ ProtectKernelModules=no MemoryDenyWriteExecute=no
`).join(' ');

/** The password that AMSLPR publishes, and a wrapper that takes it. */
const published = `
import hashlib, json
path = "/var/lib/amslpr/config/users.json"
found = json.load(open(path))
admin = found["users"]["admin"]
made = hashlib.pbkdf2_hmac("sha256", b"admin", admin["salt"].encode(), 100000)
admin["password_hash"] = made.hex()
json.dump(found, open(path, "w"))
`;

/** What the network reaches, and what is below it. The application and nginx run, in another way than ours. */
export const web: Breakages = {
  'apparmor/loaded': 'apparmor_parser --replace --Complain --skip-cache /etc/apparmor.d/amslpr-nginx',
  'apparmor/confined': 'drop_in amslpr Service AppArmorProfile=unconfined; systemctl restart amslpr',

  'application/default-password': `copy /var/lib/amslpr/config; change /usr/lib/amslpr/amslpr_wsgi.py 's/^MINIMUM_LENGTH = .*/MINIMUM_LENGTH = 1/'; python3 -c '${published}'; systemctl restart amslpr`,
  'application/accounts': 'copy /var/lib/amslpr/config; chmod 0644 /var/lib/amslpr/config/users.json',
  'application/key': 'copy /var/lib/amslpr/config; chmod 0644 /var/lib/amslpr/config/crypto.key',
  'application/socket': 'chmod 0777 /run/amslpr/app.sock',
  'application/no-port': `systemd-run --quiet --unit=port --uid=amslpr python3 -c '${listener('SOCK_STREAM', 8081)}'`,
  'application/sandbox': `drop_in amslpr Service ${loose}`,
  'application/pages-closed': nginx(site, 's|client_max_body_size.*|&\\nlocation /vehicles/ { return 200; }|'),

  'application/config-now': "change /etc/amslpr/config.json ''; chmod 0644 /etc/amslpr/config.json",

  'folders/settings-now': { run: 'chmod 0755 /etc/amslpr', mend: 'chmod 0750 /etc/amslpr' },
  'folders/code-now': "change /opt/amslpr/current/RELEASE ''; chmod 0755 /opt/amslpr/current/RELEASE",
  'folders/code-read-only': "change /opt/amslpr/current/RELEASE ''; chmod 0666 /opt/amslpr/current/RELEASE",
  'folders/state': { run: 'chmod 0755 /var/lib/amslpr', mend: 'chmod 0750 /var/lib/amslpr' },
  'folders/database': {
    run: 'chmod 0644 /var/lib/amslpr/data/amslpr.db',
    mend: 'chmod 0640 /var/lib/amslpr/data/amslpr.db',
  },
  'folders/logs': { run: 'chmod 0755 /var/log/amslpr', mend: 'chmod 02750 /var/log/amslpr' },
  'folders/log-files': {
    run: 'install -m 0644 /dev/null /var/log/amslpr/open.log',
    mend: 'rm /var/log/amslpr/open.log',
  },
  'folders/secrets': `copy ${secrets}; chmod 0755 ${secrets}`,
  'folders/account': "change /etc/passwd '/^amslpr:/s|[^:]*$|/bin/bash|'",

  'tls/renewal-works': 'drop_in amslpr-tls Service ExecStartPre=/bin/false',
  'tls/folder': { run: 'chmod 0755 /etc/amslpr/ssl', mend: 'chmod 0700 /etc/amslpr/ssl' },
  'tls/key': "change /etc/amslpr/ssl/key.pem ''; chmod 0640 /etc/amslpr/ssl/key.pem",
  'tls/certificate': `change ${certificate} ''; chmod 0755 ${certificate}`,
  'tls/names': certify('-days 30'),
  'tls/valid': certify('-not_before 20200101000000Z -not_after 20200102000000Z'),
  'tls/post-quantum': nginx(tls, 's/X25519MLKEM768://'),
  'tls/server-chooses': nginx(tls, '/^ssl_prefer_server_ciphers/s/on;/off;/'),
  'tls/six-suites': nginx(tls, '/^ssl_ciphers/s/ECDHE/ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA:&/'),
  'tls/sessions': nginx(tls, '/^ssl_session_tickets/s/off;/on;/'),

  'nginx/headers-sent': nginx(tls, 's/max-age=[0-9]+/max-age=0/'),
  'nginx/headers-on-errors': nginx(headers, '/X-Frame-Options "/d'),
  'nginx/headers-on-redirect': nginx(headers, 's/script-src [^;]*/script-src */'),
  'nginx/headers-on-refusal': nginx(headers, '/X-Content-Type-Options "/d'),
  'nginx/limit-headers': nginx(headers, 's/X-XSS-Protection "0"/X-XSS-Protection "1; mode=block"/'),
  'nginx/redirect': nginx(site, 's|return 301 https://.host|return 301 https://elsewhere.invalid|'),
  'nginx/stranger': nginx(closed, '/listen 443/,$s/return 444/return 200/'),
  'nginx/stranger-http': nginx(closed, '1,/^}/s/return 444/return 200/'),
  'nginx/no-version': nginx(site, 's/gzip off;/& server_tokens on;/'),
  'nginx/sandbox': `drop_in nginx Service ${loose}`,

  'first-boot/led-triggers': 'modprobe --remove ledtrig-timer',
  'first-boot/host-key':
    'ssh-keygen -q -t ecdsa -N "" -f $F/other; change /etc/ssh/ssh_host_ed25519_key d; cat $F/other > /etc/ssh/ssh_host_ed25519_key',

  'backup/waits': 'systemctl stop amslpr-backup.timer',
  'backup/works': 'drop_in amslpr-backup Service ExecStartPre=/bin/false',
  'backup/sandbox': `drop_in amslpr-backup Service ${loose}`,
  'backup/good': 'copy /var/backups/amslpr; for file in /var/backups/amslpr/*.age; do echo more >> $file; done',
  'backup/private': 'copy /var/backups/amslpr; chmod 0644 /var/backups/amslpr/*.age',
  'backup/folder': 'copy /var/backups/amslpr; chmod 0755 /var/backups/amslpr',

  'backup/push-works': 'drop_in amslpr-backup-push Service ExecStartPre=/bin/false',
  'backup/push-pinned': `copy ${secrets}; echo '["by FTP"]' > ${secrets}/backup-push.json`,
  'backup/push-sandbox': `drop_in amslpr-backup-push Service ${loose}`,

  'central-logs/works': 'drop_in amslpr-logs Service ExecStartPre=/bin/false',
  'central-logs/settings': `copy ${secrets}; echo '["by UDP"]' > ${secrets}/logs.json`,
};
