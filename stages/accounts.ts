import type { AbsPath } from '../src/core/contribution.ts';
import { built, runBook, text } from '../src/core/shorthand.ts';
import { defineStage, Type } from '../src/core/stage.ts';
import { accountsChecks, setuid } from './accounts/checks.ts';
import { defused } from './accounts/modes.ts';

/** Files of packages that have no drop-in folder, or one that scanners do not read, and whose content has to be another. */
const DIVERSIONS: readonly AbsPath[] = [
  // Both tell name and version of the system.
  '/etc/issue',
  '/etc/issue.net',
  '/etc/login.defs',
  '/etc/pam.d/su',
  '/etc/security/faillock.conf',
  '/etc/security/pwquality.conf',
];

export const accounts = defineStage({
  name: 'accounts',
  title: 'Restrict accounts',
  about:
    'No account of the image can log in. The first boot makes the administrators that the site file names: they log in with SSH keys and need a password for sudo. Passwords that people choose must be strong, wrong ones lock for a while, and idle shells end.',
  guide: {
    15: built('pwquality refuses weak passwords of the system, faillock locks; the web log-in has its own rule.'),
    16: runBook('passwords', 'Where the first passwords come from and how to keep them.'),
  },

  options: Type.Object(
    {
      minimumLength: Type.Integer({ minimum: 12, maximum: 64, default: 15, description: 'Characters of a password.' }),
      maxFailures: Type.Integer({ minimum: 3, maximum: 20, default: 4, description: 'Wrong passwords before a lock.' }),
      lockMinutes: Type.Integer({ minimum: 1, maximum: 1440, default: 15, description: 'How long that lock lasts.' }),
      idleMinutes: Type.Integer({ minimum: 1, maximum: 480, default: 10, description: 'Idle shells end after this.' }),
      sudoMinutes: Type.Integer({ minimum: 0, maximum: 15, default: 5, description: 'How long sudo asks no more.' }),
    },
    { additionalProperties: false },
  ),

  contribute({ minimumLength, maxFailures, lockMinutes, idleMinutes, sudoMinutes }, { overlay, target }) {
    return {
      packages: ['sudo', 'libpam-pwquality', 'cracklib-runtime'],
      groups: [
        { name: 'amslpr-admins', gid: 960 },
        // Stays empty: its members could use su.
        { name: 'sugroup', gid: 962 },
      ],
      statOverrides: defused,
      diversions: DIVERSIONS,
      ...(target.base === 'raspios' ? { allowed: { setuid: setuid as AbsPath[] } } : {}),
      files: [
        overlay('/etc/sudoers.d/amslpr', { mode: '0440', data: { sudoMinutes } }),
        overlay('/etc/profile.d/amslpr.sh', { data: { seconds: idleMinutes * 60 } }),
        overlay('/etc/security/pwquality.conf', { data: { minimumLength } }),
        overlay('/etc/security/faillock.conf', { data: { maxFailures, lockSeconds: lockMinutes * 60 } }),
        overlay('/etc/login.defs'),
        overlay('/etc/pam.d/su'),
        overlay('/etc/issue'),
        overlay('/etc/issue.net'),
        // root logs in at no terminal, whatever program asks for a list of them.
        text('/etc/securetty', '', '0600'),
        // Nobody is on these lists: root needs no permission.
        text('/etc/cron.allow', '', '0640'),
        text('/etc/at.allow', '', '0640'),
        // Backups that tools for accounts leave: for root alone, who needs no permission.
        text('/etc/tmpfiles.d/amslpr-accounts.conf', 'z /etc/shadow- 0000 root root\nz /etc/gshadow- 0000 root root\n'),
        // The engine runs pam-auth-update after these are in place; /etc/pam.d is never edited.
        // In the place of Debian's `unix`, which takes an empty password (nullok).
        overlay('/usr/share/pam-configs/amslpr-unix'),
        overlay('/usr/share/pam-configs/amslpr-faillock'),
        // A success jumps over its last line, and the account part forgets failures; scanners look for the line.
        overlay('/usr/share/pam-configs/amslpr-faillock-notify'),
        overlay('/usr/share/pam-configs/amslpr-pwhistory'),
        overlay('/usr/share/pam-configs/amslpr-umask'),
      ],
      checks: accountsChecks({ minimumLength, maxFailures, lockMinutes, idleMinutes }),
    };
  },
});
