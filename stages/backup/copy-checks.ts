import type { Check } from '../../src/core/check.ts';
import { file, run, unit } from '../../src/core/shorthand.ts';

const open = { when: 'data-open' } as const;
const guide = [67];

/** Facts about copies of backups on the server of the operator. */
export function copyChecks(): Readonly<Record<string, Check>> {
  return {
    'push-off': unit('No backup leaves the device by itself', 'amslpr-backup-push.timer', 'disabled', { guide }),
    'push-follows': file('Each backup is followed by its copy', '/etc/systemd/system/amslpr-backup.service', {
      guide,
      matches: /^OnSuccess=amslpr-backup-push\.service$/m,
    }),
    'push-works': run('The sender of copies runs in its sandbox', 'systemctl start amslpr-backup-push.service', {
      ...open,
      guide,
      exit: 0,
    }),
    'push-pinned': run(
      'Backups are copied nowhere, or by SFTP to a server whose keys are pinned',
      '/usr/sbin/amslpr-device backup push show',
      {
        ...open,
        guide,
        exit: 0,
        matches: /^(no backup is copied to a server|Host keys: [1-9]\d* pinned)/m,
      },
    ),
    'push-sandbox': run(
      'The sender of copies is locked in',
      'systemd-analyze security --no-pager --threshold=50 amslpr-backup-push.service',
      {
        matches: /Overall exposure level for amslpr-backup-push\.service/,
      },
    ),
  };
}
