import type { RunCheck } from '../../src/core/check.ts';
import type { run as runShorthand } from '../../src/core/shorthand.ts';

/** What is asked of a device that has booted. */
export function firstBootChecks(run: typeof runShorthand): Readonly<Record<string, RunCheck>> {
  const open = { when: 'data-open' } as const;
  return {
    ready: run('The first boot is done', '/usr/sbin/amslpr-device status --json', {
      ...open,
      matches: /"state": "ready"/,
    }),
    'host-key': run('The host key is good', 'ssh-keygen -y -f /etc/ssh/ssh_host_ed25519_key', {
      guide: [5],
      matches: /^ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI\S{43}( |$)/m,
      why: 'Made from the private key: of a fingerprint, ssh-keygen would read the public file beside it.',
    }),
    'host-key-mode': run('Only root reads the host key', 'stat --format=%a:%U:%G /etc/ssh/ssh_host_ed25519_key', {
      guide: [5],
      matches: /^600:root:root$/m,
    }),
    'admin-keys': run(
      "Only root changes the administrators' keys",
      'find /etc/ssh/authorized_keys.d ( -not -user root -o -perm /022 )',
      { guide: [5], lacks: /\S/ },
    ),
    'no-ageing': run(
      'No administrator is locked out by the age of a password',
      'grep -cE ^[^:]+:\\$[^:]*:[^:]*:[^:]*:[0-9]{1,4}: /etc/shadow',
      {
        exit: 1,
        matches: /^0$/m,
      },
    ),
    bundle: run('The recovery bundle is on the boot partition', '/usr/sbin/amslpr-device bundle', {
      ...open,
      guide: [16],
      matches: /^-----BEGIN AGE ENCRYPTED FILE-----$/m,
    }),
    report: run('The report is on the boot partition', '/usr/sbin/amslpr-device report', {
      ...open,
      matches: /"ssh_fingerprint": "SHA256:/,
    }),
    'site-file': run(
      'The site file holds no secret any more',
      'grep -nE ^\\s*(psk|enrolment-token|sudo-password-hash): /boot/firmware/site.yaml',
      { ...open, exit: 1, lacks: /\S/ },
    ),
    state: run('Only root enters the state of the first boot', 'stat --format=%a:%U:%G /var/lib/amslpr-device', {
      matches: /^700:root:root$/m,
    }),
    'fernet-key': run(
      'The Fernet key is for the application only',
      'stat --format=%a:%U:%G /var/lib/amslpr/config/crypto.key',
      {
        ...open,
        guide: [37],
        matches: /^600:amslpr:amslpr$/m,
      },
    ),
    'web-accounts': run(
      'The accounts are for the application only',
      'stat --format=%a:%U:%G /var/lib/amslpr/config/users.json',
      {
        ...open,
        guide: [15],
        matches: /^600:amslpr:amslpr$/m,
      },
    ),
  };
}
