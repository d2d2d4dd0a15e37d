import type { AbsPath } from '../src/core/contribution.ts';
import { built, file, run, runBook, scan, words } from '../src/core/shorthand.ts';
import { defineStage, Type } from '../src/core/stage.ts';

/** Programs that run as root for whoever starts them, and that nobody here needs to start that way. */
const plain = { mode: '0755', owner: 'root:root' } as const;
const defused = {
  '/usr/bin/chfn': plain,
  '/usr/bin/chsh': plain,
  '/usr/bin/gpasswd': plain,
  '/usr/bin/mount': plain,
  '/usr/bin/newgrp': plain,
  '/usr/bin/umount': plain,
  '/usr/lib/openssh/ssh-keysign': plain,
  // Only administrators can change to another account.
  '/usr/bin/su': { mode: '04750', owner: 'root:amslpr-admins' },
} as const;

const setuid = words(`
  /usr/bin/su /usr/bin/sudo /usr/bin/passwd /usr/bin/chage /usr/bin/expiry /usr/bin/ssh-agent
  /usr/sbin/unix_chkpwd /usr/lib/dbus-1.0/dbus-daemon-launch-helper
`);

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
      minimumLength: Type.Integer({ minimum: 12, maximum: 64, default: 14, description: 'Characters of a password.' }),
      maxFailures: Type.Integer({ minimum: 3, maximum: 20, default: 5, description: 'Wrong passwords before a lock.' }),
      lockMinutes: Type.Integer({ minimum: 1, maximum: 1440, default: 15, description: 'How long that lock lasts.' }),
      idleMinutes: Type.Integer({ minimum: 1, maximum: 480, default: 15, description: 'Idle shells end after this.' }),
      sudoMinutes: Type.Integer({ minimum: 0, maximum: 15, default: 5, description: 'How long sudo asks no more.' }),
    },
    { additionalProperties: false },
  ),

  contribute({ minimumLength, maxFailures, lockMinutes, idleMinutes, sudoMinutes }, { overlay, target }) {
    const faillock = `deny=${maxFailures} unlock_time=${lockMinutes * 60} fail_interval=${lockMinutes * 60}`;
    return {
      packages: ['sudo', 'libpam-pwquality', 'cracklib-runtime'],
      groups: [{ name: 'amslpr-admins', gid: 960 }],
      statOverrides: defused,
      ...(target.base === 'raspios' ? { allowed: { setuid: setuid as AbsPath[] } } : {}),
      files: [
        overlay('/etc/sudoers.d/amslpr', { mode: '0440', data: { sudoMinutes } }),
        overlay('/etc/profile.d/amslpr.sh', { data: { seconds: idleMinutes * 60 } }),
        overlay('/etc/security/pwquality.conf.d/50-amslpr.conf', { data: { minimumLength } }),
        // The engine runs pam-auth-update after these are in place; /etc/pam.d is never edited.
        overlay('/usr/share/pam-configs/amslpr-faillock', { data: { faillock } }),
        overlay('/usr/share/pam-configs/amslpr-faillock-notify', { data: { faillock } }),
        overlay('/usr/share/pam-configs/amslpr-umask'),
      ],
      checks: {
        sudo: file('sudo wants a password and a terminal of its own', '/etc/sudoers.d/amslpr', {
          mode: '0440',
          owner: 'root:root',
          matches: [/^Defaults use_pty$/m, /^Defaults timestamp_timeout=\d+$/m],
          lacks: /NOPASSWD/,
          why: 'Commands are logged to the journal, which is encrypted; a log file of sudo would lie on the open root.',
        }),
        'no-nopasswd': file('No rule lets sudo through without a password', '/etc/sudoers.d/*', { lacks: /NOPASSWD/ }),
        quality: file('Passwords must be strong', '/etc/security/pwquality.conf.d/50-amslpr.conf', {
          guide: [15],
          matches: [new RegExp(`^minlen = ${minimumLength}$`, 'm'), /^enforce_for_root$/m],
        }),
        faillock: file('Wrong passwords lock an account for a while', '/etc/pam.d/common-auth', {
          guide: [15],
          matches: [
            /^auth\s+requisite\s+pam_faillock\.so preauth/m,
            /^auth\s+\[default=die\]\s+pam_faillock\.so authfail/m,
          ],
        }),
        umask: file('New files are not readable by everybody', '/etc/pam.d/common-session', {
          matches: /^session\s+optional\s+pam_umask\.so umask=0027 nousergroups$/m,
        }),
        idle: file('Idle shells end', '/etc/profile.d/amslpr.sh', { matches: /^\s*readonly TMOUT$/m }),
        su: file('Only administrators can use su', '/usr/bin/su', { mode: '04750', owner: 'root:amslpr-admins' }),
        setuid: scan('Only expected programs run as somebody else', 'suid', { with: { allow: setuid } }),
        'root-locked': run('root cannot log in', 'passwd -S root', { matches: /^root L/ }),
        sudoers: run('The sudo rules are valid', 'visudo -c', { matches: /parsed OK/ }),
      },
    };
  },
});
