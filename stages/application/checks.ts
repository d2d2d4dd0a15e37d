import type { Check } from '../../src/core/check.ts';
import type { AbsPath } from '../../src/core/contribution.ts';
import { absent, file, link, run, unit } from '../../src/core/shorthand.ts';

const open = { when: 'data-open' } as const;
const curl = 'curl --silent --insecure --max-time 20';

/** Facts about an installed release; `locked`: the application is used without network and devices. */
export function applicationChecks(release: AbsPath, { locked }: { locked: boolean }): Readonly<Record<string, Check>> {
  return {
    code: file('The code belongs to root and nothing of it is executable', `${release}/**`, {
      mode: '0644',
      owner: 'root:root',
      guide: [7, 9],
      why: "The guide's `chmod -R 755` makes every file a program, and every secret below readable by everybody.",
    }),
    release: file('The release says what it is', `${release}/RELEASE`, {
      matches: [/^sha256: [0-9a-f]{64}$/m, /^version: \S+$/m],
      guide: [59],
    }),
    current: link('The release is the one that runs', '/opt/amslpr/current', release.slice('/opt/amslpr/'.length)),
    data: link('Data goes to the encrypted partition', `${release}/data`, '/var/lib/amslpr/data', { guide: [28] }),
    'data-config': link(
      'Accounts and keys go to the encrypted partition',
      `${release}/config`,
      '/var/lib/amslpr/config',
      {
        guide: [37],
      },
    ),
    config: file('The configuration is for root and the application', '/etc/amslpr/config.json', {
      mode: '0640',
      owner: 'root:amslpr',
      guide: [10],
      why: 'The guide wants root:root, which the application could not read.',
    }),
    'config-now': run('Nobody changed who reads the configuration', 'stat --format=%a:%U:%G /etc/amslpr/config.json', {
      matches: /^640:root:amslpr$/m,
      guide: [10],
    }),
    makes: file('What the application makes is its own, and of mode 640', '/etc/systemd/system/amslpr.service', {
      matches: [/^User=amslpr$/m, /^Group=amslpr$/m, /^UMask=0027$/m],
      guide: [26, 27],
    }),
    'no-secrets': absent(
      'No account, key, session or database came with the code',
      [
        '/opt/amslpr/**/users.json',
        '/opt/amslpr/**/crypto.key',
        '/opt/amslpr/**/camera_config.json',
        '/opt/amslpr/**/flask_session',
        '/opt/amslpr/**/*.db',
        '/var/lib/amslpr/*',
      ],
      { guide: [15, 37], why: 'AMSLPR publishes an admin/admin account and a key with its code.' },
    ),
    enabled: unit('The application starts with the data partition', 'amslpr.service', 'enabled'),
    recovers: unit(
      'An update that the power cut short is undone at the start',
      'amslpr-app-recover.service',
      'enabled',
      {
        guide: [59],
      },
    ),
    'recovers-first': file(
      'What is undone is undone before the application starts',
      '/etc/systemd/system/amslpr-app-recover.service',
      { guide: [59], matches: [/^Before=amslpr\.service$/m, /^ExecStart=\/usr\/sbin\/amslpr-device app recover$/m] },
    ),
    releases: run('The releases on the device can be listed', '/usr/sbin/amslpr-device app list', {
      ...open,
      guide: [59],
      matches: /^[0-9a-f]{16} {2}runs {2}/m,
    }),
    unit: file('The unit is not root and cannot gain rights', '/etc/systemd/system/amslpr.service', {
      matches: [/^User=amslpr$/m, /^NoNewPrivileges=yes$/m, /^ProtectSystem=strict$/m, /^CapabilityBoundingSet=$/m],
    }),
    active: run('The application runs', 'systemctl is-active amslpr.service', { ...open, matches: /^active$/m }),
    socket: run(
      'Only nginx reaches the socket of the application',
      'stat --format=%a:%U:%G /run/amslpr /run/amslpr/app.sock',
      {
        ...open,
        guide: [40],
        matches: [/^2750:amslpr:www-data$/m, /^770:amslpr:www-data$/m],
      },
    ),
    'no-port': run(
      'The application listens on no port',
      'ss --no-header --tcp --udp --listening --processes --extended',
      {
        ...open,
        guide: [40],
        lacks: /gunicorn|python|uid:950\b|\/amslpr\.service\b/,
        why: 'Neither the program, nor its account (950), nor its unit.',
      },
    ),
    sandbox: run(
      'The application is locked in',
      `systemd-analyze security --no-pager --threshold=${locked ? 10 : 20} amslpr.service`,
      { matches: /Overall exposure level for amslpr\.service/ },
    ),
    key: run('The Fernet key is for the application only', 'stat --format=%a:%U:%G /var/lib/amslpr/config/crypto.key', {
      ...open,
      guide: [37],
      matches: /^600:amslpr:amslpr$/m,
    }),
    accounts: run('Accounts are for the application only', 'stat --format=%a:%U:%G /var/lib/amslpr/config/users.json', {
      ...open,
      guide: [15],
      matches: /^600:amslpr:amslpr$/m,
    }),
    'default-password': run(
      'admin with the published password cannot log in',
      '/usr/bin/python3 /usr/lib/amslpr/try_login.py admin admin admin123',
      { ...open, guide: [15], matches: /^admin: refused\nadmin123: refused$/m },
    ),
    'pages-closed': run(
      'Pages need a log-in',
      `${curl} --output /dev/null --write-out %{http_code}:%{redirect_url} https://127.0.0.1/vehicles/`,
      {
        ...open,
        matches: /^302:https:\/\/127\.0\.0\.1\/login/,
      },
    ),
    encrypted: run(
      'The database is on the LUKS partition',
      'findmnt --noheadings --output SOURCE --target /var/lib/amslpr/data',
      {
        ...open,
        guide: [28],
        matches: /\/dev\/mapper\/amslpr-data/,
        why: 'In place of SQLCipher, for which Debian has no Python binding.',
      },
    ),
  };
}
