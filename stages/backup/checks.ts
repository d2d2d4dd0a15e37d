import type { Check } from '../../src/core/check.ts';
import { absent, file, run, unit } from '../../src/core/shorthand.ts';

const open = { when: 'data-open' } as const;
const service = '/etc/systemd/system/amslpr-backup.service';

/** Facts about the nightly backup; `time` is "HH:MM". */
export function backupChecks(time: string): Readonly<Record<string, Check>> {
  return {
    timer: unit('The backup has its timer', 'amslpr-backup.timer', 'enabled', { guide: [29] }),
    time: file(
      'The backup runs at its hour, and later when the device was off',
      '/etc/systemd/system/amslpr-backup.timer',
      {
        guide: [29],
        matches: [new RegExp(`^OnCalendar=\\*-\\*-\\* ${time}:00$`, 'm'), /^Persistent=true$/m],
      },
    ),
    alert: file('A failed backup raises an alert', service, {
      guide: [29],
      matches: /^OnFailure=amslpr-alert@%n\.service$/m,
      why: "The guide's line sends every message to /dev/null, the one that the program does not exist too.",
    }),
    'no-cron': absent('No crontab runs a backup that is not there', ['/var/spool/cron/crontabs/*'], {
      guide: [29],
    }),
    'no-archive': absent('No backup is in the image', '/var/backups/amslpr/*', { guide: [66] }),
    'restore-undo': unit('A restore that a power cut ended is taken back', 'amslpr-restore-undo.service', 'enabled', {
      guide: [67],
    }),
    waits: run('The timer waits for its hour', 'systemctl is-active amslpr-backup.timer', {
      ...open,
      guide: [29],
      matches: /^active$/m,
    }),
    works: run('A backup can be made now', 'systemctl start amslpr-backup.service', {
      ...open,
      guide: [29, 65],
      exit: 0,
    }),
    good: run('The archives are the ones that were made', '/usr/sbin/amslpr-device backup verify', {
      ...open,
      guide: [65],
      matches: /^amslpr-\S+: good$/m,
      lacks: /: it/,
    }),
    private: run('Nobody but root reads the archives', 'find /var/backups/amslpr -name *.age -perm /077', {
      ...open,
      guide: [66],
      lacks: /\S/,
    }),
    folder: run(
      'Only root and administrators see which archives there are',
      'stat --format=%a:%U:%G /var/backups/amslpr',
      {
        ...open,
        guide: [66],
        matches: /^751:root:amslpr-admins$/m,
      },
    ),
    sandbox: run(
      'The backup is locked in',
      'systemd-analyze security --no-pager --threshold=50 amslpr-backup.service',
      {
        matches: /Overall exposure level for amslpr-backup\.service/,
      },
    ),
  };
}
