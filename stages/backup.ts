import { absent, built, file, run, runBook, text, unit } from '../src/core/shorthand.ts';
import { defineStage, Type } from '../src/core/stage.ts';

const open = { when: 'data-open' } as const;
const service = '/etc/systemd/system/amslpr-backup.service';

export const backup = defineStage({
  name: 'backup',
  title: 'Back up the application every night, encrypted',
  about:
    'Each night the database, accounts, keys and configuration go into one archive that only the operator’s keys can open. The copy is made by SQLite and proven before it is encrypted; a failure is an alert in the journal. `amslpr-device backup` and `amslpr-device restore` are the commands; time, number kept and pictures are options.',
  guide: {
    29: built(
      'A timer at 02:00 runs our own tool. The program that the guide’s crontab line names was never part of AMSLPR, and its `> /dev/null 2>&1` hides that; no file is put at that path, since it belongs to the application.',
    ),
    65: runBook(
      'backup',
      'Every backup is checked by SQLite and its rows are counted before it is encrypted; a restore is drilled by the run-book.',
    ),
    66: built(
      'Archives are encrypted to the operator’s age recipients and 600; the key to open them is not on the device.',
    ),
    67: runBook('backup', 'How to copy archives away, decrypt one and restore it, on this device or on a new one.'),
  },
  needs: ['folders', 'application', 'tls'],

  options: Type.Object(
    {
      time: Type.String({
        pattern: '^([01][0-9]|2[0-3]):[0-5][0-9]$',
        default: '02:00',
        description: 'When, in the time of the device: "HH:MM".',
      }),
      retention: Type.Integer({ minimum: 1, maximum: 365, default: 14, description: 'Archives that are kept.' }),
      images: Type.Boolean({ default: false, description: 'Whether pictures of plates are in the archives.' }),
    },
    { additionalProperties: false },
  ),

  contribute({ time, retention, images }, { overlay }) {
    return {
      packages: ['age', 'python3'],
      files: [
        text('/usr/share/amslpr/backup.json', `${JSON.stringify({ retention, images })}\n`),
        overlay(service),
        overlay('/etc/systemd/system/amslpr-backup.timer', { data: { time } }),
        overlay('/etc/systemd/system/amslpr-alert@.service'),
      ],
      units: { 'amslpr-backup.timer': 'enabled' },
      // The application's account passes through to the copy of its database that it makes; it can list nothing.
      dataBinds: [{ path: '/var/backups/amslpr', name: 'backups', mode: '0751', owner: 'root:amslpr-admins' }],
      checks: {
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
      },
    };
  },
});
