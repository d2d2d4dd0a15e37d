import type { Check } from '../../src/core/check.ts';
import { directory, file, run, scan, words } from '../../src/core/shorthand.ts';

/** Programs that may run as somebody else than who starts them. */
export const setuid = words(`
  /usr/bin/su /usr/bin/sudo /usr/bin/passwd /usr/bin/chage /usr/bin/expiry /usr/bin/ssh-agent
  /usr/sbin/unix_chkpwd /usr/lib/dbus-1.0/dbus-daemon-launch-helper
`);
const notice = { matches: /^Authorized users only\./m, lacks: /Debian|\\[a-zA-Z]/ } as const;
const closed = { mode: '0700', owner: 'root:root' } as const;

/** What must hold of its files, and of the booted device. */
export function accountsChecks({
  minimumLength,
  maxFailures,
  lockMinutes,
  idleMinutes,
}: {
  minimumLength: number;
  maxFailures: number;
  lockMinutes: number;
  idleMinutes: number;
}): Readonly<Record<string, Check>> {
  return {
    sudo: file('sudo wants a password and a terminal of its own', '/etc/sudoers.d/amslpr', {
      mode: '0440',
      owner: 'root:root',
      matches: [/^Defaults use_pty$/m, /^Defaults timestamp_timeout=\d+$/m],
      lacks: /NOPASSWD/,
      why: 'Commands are logged to the journal, which is encrypted; a log file of sudo would lie on the open root.',
    }),
    'no-nopasswd': file('No rule lets sudo through without a password', '/etc/sudoers.d/*', { lacks: /NOPASSWD/ }),
    quality: file('Passwords must be strong', '/etc/security/pwquality.conf', {
      guide: [15],
      matches: [new RegExp(`^minlen = ${minimumLength}$`, 'm'), /^enforce_for_root$/m],
    }),
    faillock: file('Wrong passwords lock an account for a while', '/etc/pam.d/common-auth', {
      guide: [15],
      matches: [/^auth\s+required\s+pam_faillock\.so preauth/m, /^auth\s+\[default=die\]\s+pam_faillock\.so authfail/m],
    }),
    'faillock-limits': file('After how many wrong ones, and how long', '/etc/security/faillock.conf', {
      guide: [15],
      matches: [new RegExp(`^deny = ${maxFailures}$`, 'm'), new RegExp(`^unlock_time = ${lockMinutes * 60}$`, 'm')],
    }),
    history: file('The last passwords of an account are refused', '/etc/pam.d/common-password', {
      guide: [15],
      matches: /^password\s+requisite\s+pam_pwhistory\.so remember=24 enforce_for_root try_first_pass use_authtok$/m,
    }),
    'no-empty': file('No empty password is taken', '/etc/pam.d/common-*', {
      guide: [15],
      lacks: /nullok/,
    }),
    'su-by-nobody': file('su lets nobody through but root', '/etc/pam.d/su', {
      matches: /^auth\s+required\s+pam_wheel\.so use_uid group=sugroup$/m,
    }),
    'su-group': file('The group that could use su is empty', '/etc/group', { matches: /^sugroup:[^:]*:\d+:$/m }),
    umask: file('New files are not readable by everybody', '/etc/pam.d/common-session', {
      matches: /^session\s+optional\s+pam_umask\.so umask=0027 nousergroups$/m,
    }),
    'new-accounts': file('Homes and files of new accounts are for their owner and group', '/etc/login.defs', {
      guide: [15],
      matches: [/^UMASK\s+027$/m, /^HOME_MODE\s+0700$/m, /^PASS_MIN_DAYS\s+1$/m],
    }),
    idle: file('Idle shells end', '/etc/profile.d/amslpr.sh', {
      matches: [new RegExp(`^\\s*typeset -xr TMOUT=${idleMinutes * 60}$`, 'm'), /^umask 027$/m],
    }),
    notice: file('The screen says who may log in, and not which system this is', '/etc/issue', { ...notice }),
    'remote-notice': file('The network is told the same', '/etc/issue.net', { ...notice }),
    'cron-allow': file('Only root may use cron', '/etc/cron.allow', { mode: '0640', owner: 'root:root' }),
    'at-allow': file('Only root may use at', '/etc/at.allow', { mode: '0640', owner: 'root:root' }),
    'cron-folders': directory('Only root looks at what runs by the clock', '/etc/cron.d', closed),
    'cron-daily': directory('Only root looks at what runs every day', '/etc/cron.daily', closed),
    su: file('Nobody but administrators starts su', '/usr/bin/su', { mode: '04750', owner: 'root:amslpr-admins' }),
    setuid: scan('Only expected programs run as somebody else', 'suid', { with: { allow: setuid } }),
    backups: run('Only root reads backups of passwords', 'find /etc/shadow- /etc/gshadow- -perm /077', { lacks: /\S/ }),
    'root-locked': run('root cannot log in', 'passwd -S root', { matches: /^root L/ }),
    sudoers: run('The sudo rules are valid', 'visudo -c', { matches: /parsed OK/ }),
  };
}
