const plain = { mode: '0755', owner: 'root:root' } as const;
const closed = { mode: '0700', owner: 'root:root' } as const;
const homely = { mode: '0640', owner: 'root:root' } as const;
/** Modes that differ from the packages'. Of the programs among them none needs to run as root for whoever starts it. */
export const defused = {
  // Only root looks at what runs by the clock, should somebody install cron.
  '/etc/cron.d': closed,
  '/etc/cron.daily': closed,
  '/etc/cron.hourly': closed,
  '/etc/cron.monthly': closed,
  '/etc/cron.weekly': closed,
  '/etc/cron.yearly': closed,
  '/etc/crontab': { mode: '0600', owner: 'root:root' },
  '/etc/sudoers.d': { mode: '0750', owner: 'root:root' },
  // What each home begins with.
  '/etc/skel/.bash_logout': homely,
  '/etc/skel/.bashrc': homely,
  '/etc/skel/.profile': homely,
  '/usr/bin/chfn': plain,
  '/usr/bin/chsh': plain,
  '/usr/bin/gpasswd': plain,
  '/usr/bin/mount': plain,
  '/usr/bin/newgrp': plain,
  '/usr/bin/umount': plain,
  '/usr/lib/openssh/ssh-keysign': plain,
  // Administrators may start it; its PAM file lets nobody but root through.
  '/usr/bin/su': { mode: '04750', owner: 'root:amslpr-admins' },
} as const;
