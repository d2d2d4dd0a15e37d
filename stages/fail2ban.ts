import { built, file, installed, run, symlink, unit } from '../src/core/shorthand.ts';
import { defineStage, Type } from '../src/core/stage.ts';
import { textOf } from '../src/core/values.ts';

/** The longest ban of a site's own management networks: an administrator waits as long as a coffee takes. */
const MANAGEMENT_MINUTES = 10;

export const fail2ban = defineStage({
  name: 'fail2ban',
  title: 'Ban addresses that guess passwords (fail2ban)',
  about:
    'Two jails read the journal: sshd, and the web log-in, whose attempts nginx reports with the real address. A banned address is refused by nftables before ufw sees it, for IPv4 and IPv6. Networks that the site file names under `network.management` are banned for ten minutes at most, and a power cycle ends every ban. Change `maxRetry` and `banMinutes`, and name networks that are never banned in `ignore`.',
  guide: {
    6: built(
      'A jail.d drop-in reads the journal; there is no auth.log on Debian 13, and a copied jail.conf freezes all defaults.',
    ),
    52: built('Failed log-ins of SSH and the web end in a ban and in the journal, whatever the address does next.'),
  },
  needs: ['firewall', 'sshd'],

  options: Type.Object(
    {
      maxRetry: Type.Integer({ minimum: 2, maximum: 20, default: 3, description: 'Failures before a ban.' }),
      findMinutes: Type.Integer({ minimum: 1, maximum: 1440, default: 10, description: 'Failures count this long.' }),
      banMinutes: Type.Integer({ minimum: 1, maximum: 43200, default: 60, description: 'How long a ban lasts.' }),
      ignore: Type.Array(textOf('network'), {
        default: [],
        description: 'Addresses or networks that are never banned, such as 192.0.2.0/24.',
      }),
    },
    { additionalProperties: false },
  ),

  contribute({ maxRetry, findMinutes, banMinutes, ignore }, { overlay }) {
    const local = '/etc/fail2ban/jail.d/amslpr.local';
    const managementMinutes = Math.min(banMinutes, MANAGEMENT_MINUTES);
    return {
      packages: ['fail2ban', 'nftables', 'python3-systemd'],
      files: [
        overlay(local, { data: { maxRetry, findMinutes, banMinutes, managementMinutes, ignore: ignore.join(' ') } }),
        overlay('/usr/lib/amslpr/outside-networks', { mode: '0755' }),
        overlay('/etc/tmpfiles.d/amslpr-fail2ban.conf'),
        symlink('/etc/fail2ban/jail.d/boot.local', '/run/amslpr-fail2ban.local'),
        overlay('/etc/fail2ban/filter.d/amslpr-login.conf'),
        overlay('/etc/fail2ban/fail2ban.d/amslpr.local'),
        overlay('/etc/systemd/system/fail2ban.service.d/10-amslpr.conf'),
        overlay('/etc/systemd/system/amslpr-journal.service.d/10-fail2ban.conf'),
      ],
      // Its own rules would be loaded beside ufw's; only the program is needed.
      units: { 'fail2ban.service': 'enabled', 'nftables.service': 'disabled' },
      checks: {
        installed: installed('fail2ban is there', 'fail2ban', { guide: [6] }),
        starts: unit('fail2ban starts at boot', 'fail2ban.service', 'enabled', { guide: [6] }),
        'one-firewall': unit('No second set of firewall rules is loaded', 'nftables.service', 'disabled', {
          guide: [3],
        }),
        jails: file('Both jails read the journal', local, {
          guide: [6, 52],
          matches: [
            /^\[sshd\]\nenabled = true\nbackend = systemd$/m,
            /^\[amslpr-login\]\nenabled = true\nbackend = systemd$/m,
          ],
          why: 'With the path /var/log/auth.log of the guide the jail would watch a file that Debian 13 never writes.',
        }),
        backend: file('Bans are made by nftables', local, { matches: /^banaction = nftables$/m }),
        'no-copy': file('jail.conf is the packaged one', '/etc/fail2ban/jail.conf', {
          guide: [6],
          matches: /^# WARNING: heavily refactored/m,
        }),
        valid: run('The configuration is valid', 'fail2ban-client -t', {
          guide: [6],
          matches: /OK: configuration test is successful/,
        }),
        sshd: run('The sshd jail is up and reads sshd in the journal', 'fail2ban-client status sshd', {
          guide: [6],
          matches: /Journal matches:\s+_SYSTEMD_UNIT=ssh\.service/,
        }),
        login: run('The web log-in jail is up and reads nginx in the journal', 'fail2ban-client status amslpr-login', {
          guide: [6, 52],
          matches: /Journal matches:\s+_SYSTEMD_UNIT=nginx\.service/,
        }),
        retries: run('sshd bans after few failures', 'fail2ban-client get sshd maxretry', {
          guide: [6],
          matches: new RegExp(`^${maxRetry}$`, 'm'),
        }),
        boot: run('A power cycle ends every ban', 'fail2ban-client get sshd journalmatch', {
          matches: /_BOOT_ID=[0-9a-f]{32}/,
          why: 'fail2ban reads the journal of the last minutes when it starts: failures of an earlier start would ban again.',
        }),
        follows: {
          ...run('fail2ban reads the journal where it is now', 'sh', {
            guide: [6, 52],
            when: 'data-open',
            matches: /\/var\/log\/journal\//,
            why: 'It starts before the data is open, with the journal in memory, and would go on reading that: nobody would ever be banned.',
          }),
          run: ['sh', '-c', 'readlink /proc/$(systemctl show --value --property MainPID fail2ban.service)/fd/*'],
        },
        ban: run('A ban lasts as long as it should', 'fail2ban-client get sshd bantime', {
          guide: [6],
          matches: new RegExp(`^${banMinutes * 60}$`, 'm'),
        }),
      },
    };
  },
});
