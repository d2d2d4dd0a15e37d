import type { Check } from '../../src/core/check.ts';
import { file, installed, run, unit } from '../../src/core/shorthand.ts';

/** `local` is our drop-in among the jails. */
export function fail2banChecks(local: `/${string}`, maxRetry: number, banMinutes: number): Record<string, Check> {
  return {
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
    follows: {
      ...run('fail2ban reads the journal where it is now', 'sh', {
        guide: [6, 52],
        when: 'data-open',
        matches: /\/var\/log\/journal\//,
        why: 'It starts before the data is open, with the journal in memory, and would go on reading that: nobody would ever be banned.',
      }),
      // Just after a start it may be on its way there; the checks below ask it as well.
      run: [
        'sh',
        '-c',
        'for i in $(seq 60); do readlink /proc/$(systemctl show --value --property MainPID fail2ban.service)/fd/* | grep -m 1 /var/log/journal/ && fail2ban-client ping && break; sleep 1; done',
      ],
    },
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
    ban: run('A ban lasts as long as it should', 'fail2ban-client get sshd bantime', {
      guide: [6],
      matches: new RegExp(`^${banMinutes * 60}$`, 'm'),
    }),
  };
}
