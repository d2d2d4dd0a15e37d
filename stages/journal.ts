import { built, file, run, runBook, unit } from '../src/core/shorthand.ts';
import { defineStage, Type } from '../src/core/stage.ts';

export const journal = defineStage({
  name: 'journal',
  title: 'Keep the log, and keep it small',
  about:
    'The journal is in memory until the encrypted data partition is open, and moves there then; nothing of it is ever on the open part of the card. It is limited in size and age, and nginx rotates its own files. Change `maxDiskMiB` and `keepDays`.',
  guide: {
    13: built(
      'Logs are in the journal, which root and the group adm can read; a log folder of mode 640 could not be entered.',
    ),
    49: runBook('review', 'What to read once a week, with the commands.'),
    51: runBook('monitoring', 'Which commands answer, at which figures to act.'),
    54: built('journald and logrotate limit size and age, so logs never fill the card.'),
    55: runBook(
      'review',
      'journalctl is the analysis tool, since a second one would keep a second copy of the logs: the run-book has the questions and the commands.',
    ),
  },

  options: Type.Object(
    {
      maxDiskMiB: Type.Integer({
        minimum: 32,
        maximum: 4096,
        default: 256,
        description: 'Size limit on the data partition.',
      }),
      maxMemoryMiB: Type.Integer({ minimum: 8, maximum: 256, default: 32, description: 'Size limit while in memory.' }),
      keepDays: Type.Integer({
        minimum: 1,
        maximum: 3650,
        default: 90,
        description: 'Entries older than this are removed.',
      }),
    },
    { additionalProperties: false },
  ),

  contribute({ maxDiskMiB, maxMemoryMiB, keepDays }, { overlay }) {
    const conf = '/etc/systemd/journald.conf.d/zz-amslpr.conf';
    const timer = '/etc/systemd/system/logrotate.timer.d/10-amslpr.conf';
    const sizes = '/usr/share/amslpr/logrotate.conf';
    return {
      packages: ['logrotate'],
      files: [
        overlay(conf, { data: { maxDiskMiB, maxMemoryMiB, keepDays } }),
        overlay(sizes),
        overlay('/etc/systemd/system/logrotate.service.d/10-amslpr.conf'),
        overlay(timer),
      ],
      units: {
        'logrotate.timer': 'enabled',
        // Would move the journal to root's /var/log/journal; amslpr-data.target does it when the data is open.
        'systemd-journal-flush.service': 'masked',
      },
      checks: {
        limits: file('The journal is limited', conf, {
          guide: [54],
          matches: [/^SystemMaxUse=\d+M$/m, /^RuntimeMaxUse=\d+M$/m, /^MaxRetentionSec=\d+day$/m],
          why: 'It sorts after syslog.conf of Debian, and after the 40- of Raspberry Pi OS that keeps the journal in memory.',
        }),
        'not-on-root': unit('The journal waits for the encrypted data', 'systemd-journal-flush.service', 'masked', {
          guide: [13, 14],
        }),
        rotation: unit('Files of nginx are rotated', 'logrotate.timer', 'enabled', { guide: [54] }),
        persistent: run('The journal is on the encrypted partition', 'journalctl --header --no-pager', {
          guide: [54],
          when: 'data-open',
          matches: /^File path: \/var\/log\/journal\//m,
        }),
        encrypted: run(
          'The folder of the journal is bound to the data partition',
          'findmnt -no SOURCE /var/log/journal',
          {
            guide: [14],
            when: 'data-open',
            matches: /^\/dev\/mapper\/amslpr-data\[\/journal\]\n?$/,
          },
        ),
        readers: run('Not everybody reads the journal', 'find /var/log/journal -name *.journal -perm /007', {
          guide: [13],
          when: 'data-open',
          lacks: /\S/,
        }),
        hourly: file('A log that grew is rotated within the hour', timer, {
          guide: [54],
          matches: /^OnCalendar=\nOnCalendar=hourly$/m,
        }),
        rotates: run('logrotate rotates what grew', `logrotate --debug ${sizes} /etc/logrotate.conf`, {
          guide: [54],
          matches: /^rotating pattern: \/var\/log\/nginx\/\*\.log .*log files >= 16777216 are rotated earlier/m,
          lacks: /^error:/m,
        }),
      },
    };
  },
});
