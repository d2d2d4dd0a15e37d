import type { Check } from '../../src/core/check.ts';
import { absent, file, run, unit } from '../../src/core/shorthand.ts';

const open = { when: 'data-open' } as const;

/** Facts about looks, alerts and mail; `watched` are units that tell of their own failure. */
export function monitoringChecks(watched: readonly string[], digest: boolean): Readonly<Record<string, Check>> {
  return {
    timer: unit('The device is looked at all the time', 'amslpr-monitor.timer', 'enabled', { guide: [50, 51] }),
    ...(digest ? { digest: unit('There is a daily report', 'amslpr-digest.timer', 'enabled', { guide: [50] }) } : {}),
    ...Object.fromEntries(
      watched.map((name) => [
        `failed-${name.replace('.service', '')}`,
        file(`${name} tells of its own failure`, `/etc/systemd/system/${name}.d/50-amslpr-alert.conf`, {
          guide: [50],
          matches: /^OnFailure=amslpr-alert@%n\.service$/m,
        }),
      ]),
    ),
    'no-password': absent(
      'No relay and no password of one is in the image',
      ['/etc/amslpr/secrets/**', '/var/spool/amslpr/**'],
      { guide: [50], why: 'A password in the image would be the same on every card that is written from it.' },
    ),
    waits: run('The timer runs', 'systemctl is-active amslpr-monitor.timer', { guide: [51], matches: /^active$/m }),
    works: run('The device can be looked at now', 'systemctl start amslpr-monitor.service', { guide: [51], exit: 0 }),
    looks: run('Every look sees what it looks at', 'grep -o look:[a-z_]* /run/amslpr-device/alerts.json', {
      guide: [50, 51, 52],
      exit: 1,
      lacks: /\S/,
      why: 'A look that its sandbox does not let through would find all well for ever.',
    }),
    mail: run('Mail has a spool on the encrypted partition', '/usr/sbin/amslpr-device mail show', {
      ...open,
      guide: [50],
      matches: /^Waiting: \d+$/m,
    }),
    heard: run('The failure of a service starts an alert', 'systemctl show --property=OnFailure nginx.service', {
      guide: [50],
      matches: /^OnFailure=amslpr-alert@nginx\.service\.service$/m,
    }),
    status: run('The status has a place for alerts', '/usr/sbin/amslpr-device status --json', {
      guide: [50],
      matches: /"alerts": \[/,
    }),
  };
}
