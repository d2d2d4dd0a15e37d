import { built, runBook, text } from '../src/core/shorthand.ts';
import { defineStage, Type } from '../src/core/stage.ts';
import { textOf } from '../src/core/values.ts';
import { backupChecks } from './backup/checks.ts';
import { copyChecks } from './backup/copy-checks.ts';

export const backup = defineStage({
  name: 'backup',
  title: 'Back up the application every night, encrypted',
  about:
    'Each night the database, accounts, keys and configuration go into one archive that only the operator’s keys can open. The copy is made by SQLite and proven before it is encrypted; a failure is an alert in the journal. `amslpr-device backup` and `amslpr-device restore` are the commands. Once `amslpr-device backup push set` has named a server, each archive is copied there by SFTP; while none has a copy off the card, that is an alert. Time, number kept and pictures are options.',
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
    67: runBook(
      'backup',
      'How archives get off the card, by themselves over SFTP or fetched, and how to decrypt one and restore it, on this device or on a new one. That no backup of the last 8 days has a copy elsewhere is an alert.',
    ),
  },
  needs: ['folders', 'monitoring', 'application', 'tls'],

  options: Type.Object(
    {
      time: textOf('timeOfDay', {
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
      packages: ['age', 'openssh-client', 'python3'],
      files: [
        text('/usr/share/amslpr/backup.json', `${JSON.stringify({ retention, images })}\n`),
        overlay('/etc/systemd/system/amslpr-backup.service'),
        overlay('/etc/systemd/system/amslpr-backup.timer', { data: { time } }),
        overlay('/etc/systemd/system/amslpr-backup-push.service'),
        overlay('/etc/systemd/system/amslpr-backup-push.timer'),
        overlay('/etc/systemd/system/amslpr-restore-undo.service'),
      ],
      units: {
        'amslpr-backup.timer': 'enabled',
        'amslpr-backup-push.timer': 'disabled',
        'amslpr-restore-undo.service': 'enabled',
      },
      // The application's account passes through to the copy of its database that it makes; it can list nothing.
      dataBinds: [{ path: '/var/backups/amslpr', name: 'backups', mode: '0751', owner: 'root:amslpr-admins' }],
      checks: { ...backupChecks(time), ...copyChecks() },
    };
  },
});
