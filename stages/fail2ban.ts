import { built, symlink } from '../src/core/shorthand.ts';
import { defineStage, Type } from '../src/core/stage.ts';
import { textOf } from '../src/core/values.ts';
import { fail2banChecks } from './fail2ban/checks.ts';

/** The longest ban of a site's own management networks: an administrator waits as long as a coffee takes. */
const MANAGEMENT_MINUTES = 10;

export const fail2ban = defineStage({
  name: 'fail2ban',
  title: 'Ban addresses that guess passwords (fail2ban)',
  about:
    'Two jails read the journal: sshd, and the web log-in, whose attempts nginx reports with the real address. A banned address is refused by nftables before ufw sees it, for IPv4 and IPv6. Wrong keys for an account that exists are no failure for it, since an agent offers all it holds; sshd itself refuses such an address after about five log-ins, for longer each time. Networks that the site file names under `network.management` are banned for ten minutes at most, and a power cycle ends every ban. Change `maxRetry` and `banMinutes`, and name networks that are never banned in `ignore`.',
  guide: {
    6: built(
      'A jail.d drop-in reads the journal; there is no auth.log on Debian 13, and a copied jail.conf freezes all defaults.',
    ),
    52: built(
      'Failed log-ins of SSH and the web end in a ban and in the journal. The lines are nginx’s: those of AMSLPR have no address.',
    ),
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
      checks: fail2banChecks(local, maxRetry, banMinutes),
    };
  },
});
