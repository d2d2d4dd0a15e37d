import type { Finding } from './finding.ts';

const steps = 'device/tests/test_steps.py';

/** Lines of the guide that break the system, do nothing, or contradict each other. */
export const textFindings: readonly Finding[] = [
  {
    finding: '`apt upgrade` by hand happens once; rpi-update, which Raspberry Pi OS brings, checks no signature',
    items: [1],
    answer: 'The build takes the newest locked packages, the device updates itself, and rpi-update is removed.',
    why: 'Updates that wait for a person come late or not at all.',
    checks: ['base-system/no-rpi-update', 'updates/daily'],
  },
  {
    finding:
      '`dpkg-reconfigure` asks questions, the packaged list of origins leaves out the Raspberry Pi archive, and nothing restarts into a new kernel',
    items: [2],
    answer: 'A drop-in with all origins, and a restart within a window.',
    why: 'A fixed kernel works from the next start on. A device that only a person can unlock does not restart by itself.',
    checks: ['updates/origins', 'updates/effective', 'updates/own-minute', 'raspberry-pi-os/origins'],
  },
  {
    finding:
      '`ufw enable` in a build changes the rules of the building machine, and without /proc no IPv6 rules are written',
    items: [3],
    answer: 'The files are written as ufw writes them, for IPv4 and IPv6 alike.',
    why: '`ufw` on the device goes on from there.',
    checks: ['firewall/rules', 'firewall/loaded', 'firewall/ports'],
    tests: ['test/unit/ufw.test.ts: writes what ufw itself writes'],
  },
  {
    finding: 'The three open ports would also shut out the answers to AMSLPR’s search for cameras',
    items: [3, 36],
    answer:
      'They come in (UDP from port 3702) from the cameras’ network of the site file alone. Elsewhere cameras are added by address.',
    why: 'They belong to no connection that the kernel knows. AMSLPR looks in the network of the default route only, so it does not find cameras in a VLAN.',
    tests: ['device/tests/test_firewall.py: test_answers_to_a_search_come_in_and_nothing_like_them'],
    runBooks: ['cameras'],
  },
  {
    finding:
      '"Disable unnecessary services" names none, and a disabled unit can be started by another one or by an upgrade',
    items: [4],
    answer: 'A list of every unit that may start; others are not installed, or masked.',
    why: 'A list of what is allowed also finds what nobody thought of.',
    checks: ['services/expected', 'services/running', 'services/sockets'],
  },
  {
    finding:
      'Lines at the end of sshd_config lose against drop-ins, which are read first; passwords stay possible by the keyboard-interactive way; the unit is called ssh',
    items: [5],
    answer:
      'The whole file is ours, with drop-ins last, keys as the only method, and every other way of logging in off.',
    why: 'sshd keeps the first value that it reads. What counts is what sshd itself says that it would do.',
    checks: ['sshd/policy', 'sshd/no-passwords', 'sshd/no-root'],
  },
  {
    finding: 'Refusing passwords locks everybody out where no key is known',
    items: [5],
    answer: 'A site file needs an administrator with a key, or it is refused; before it there is no SSH at all.',
    why: 'A device without a site has nobody who could log in.',
    checks: ['sshd/waits-for-keys', 'first-boot/admin-keys'],
    tests: [`${steps}: test_without_a_site_file_nothing_is_made`],
  },
  {
    finding:
      'Debian has no /var/log/auth.log, so the jail would not start or would watch nothing; a copied jail.conf freezes every default',
    items: [6],
    answer: 'Jails in a drop-in read the journal, by the unit and by the names that sshd has.',
    why: 'It has to be followed to the encrypted journal too, which is opened after fail2ban starts.',
    checks: ['fail2ban/jails', 'fail2ban/no-copy', 'fail2ban/follows', 'fail2ban/valid'],
    tests: [
      'test/extended/bans.test.ts: bans an administrator who guesses for ten minutes, until the power is gone for a moment',
    ],
  },
  {
    finding:
      'root:root and 755 for the application, root:root and 640 for configuration and database contradict a service that is not root: it can read neither, nor write the database and its journal',
    items: [7, 8, 9, 10, 26, 27],
    answer: 'Code is root’s and read-only, configuration root:amslpr, the state amslpr’s in a folder of its own.',
    why: 'The intent is that the service changes its data and nothing else. Running it as root would fulfil the letter and give that up.',
    checks: ['folders/code-read-only', 'folders/settings', 'folders/state', 'folders/database', 'application/config'],
  },
  {
    finding: '`chmod -R 755 /opt/amslpr` makes the real key, accounts, sessions and database readable for everybody',
    items: [9],
    answer: 'They lie elsewhere, and nothing in a release is executable.',
    why: 'Since AMSLPR keeps them below its code, the line opens what it is to protect.',
    checks: ['application/code', 'application/data-config', 'first-boot/fernet-key'],
  },
  {
    finding: 'After `chmod -R 750` the certificate is executable, and the key until the next line',
    items: [11, 12],
    answer: 'Folder 700, certificate 644, key 600, each made that way.',
    why: 'Only nginx uses the key, and reads it as root.',
    checks: ['tls/folder', 'tls/certificate', 'tls/key'],
  },
  {
    finding:
      '`chmod -R 640` takes the right to enter from the log folder: nothing can be read or written there any more',
    items: [13],
    answer: 'The folder is 750, its files 640.',
    why: 'A folder needs the bit that a file must not have.',
    checks: ['folders/logs', 'folders/log-files'],
  },
  {
    finding:
      'There is no "LUKS during installation": Raspberry Pi OS has no installer, and a container in an image has one key for all',
    items: [14],
    answer: 'The first boot makes the container, and the site file chooses how it opens.',
    why: 'With the key on the same card nothing is protected from whoever has the card: there is no default, and the README says of each method what it keeps.',
    checks: ['data/container', 'first-boot/no-state'],
    tests: ['test/unit/unlock-matrix.test.ts: is said by init-site, with names of the same width'],
  },
  {
    finding: 'AMSLPR has no rule for passwords at all, so there is nothing to "enforce"',
    items: [15],
    answer: 'The wrapper refuses weak ones, for new passwords and at the log-in.',
    why: 'At the log-in too, since a weak one may come with a restored backup.',
    checks: ['application/default-password'],
    tests: [
      'test/python/test_wrapper.py: test_new_passwords_must_be_strong',
      'test/python/test_wrapper.py: test_weak_passwords_do_not_log_in',
    ],
  },
  {
    finding:
      'Let’s Encrypt cannot certify a device without a public name, and the certificates of the installers name no host that browsers accept',
    items: [17, 19],
    answer: 'Each device certifies itself for its names and addresses; certbot is an option.',
    why: 'HTTPS has to work on a network of its own. SSL Labs reaches public hosts only, so other tools are named.',
    checks: ['tls/names', 'tls/valid', 'tls/renews'],
    tests: ['device/tests/test_acme.py: test_a_public_authority_certifies_the_key_that_is_there'],
    runBooks: ['certificates'],
  },
  {
    finding: '`add_header` without `always` is missing on errors, and one in a location drops all others',
    items: [23, 45],
    answer: 'All headers are set once for each server, with `always`.',
    why: 'Error pages can be framed and scripted like any other.',
    checks: ['nginx/policy', 'nginx/headers-on-errors', 'nginx/headers-on-refusal', 'nginx/limit-headers'],
    tests: [
      'test/unit/stages-app.test.ts: adds headers at the level of servers only, since one in a location would drop the others',
    ],
  },
  {
    finding:
      'The policy for scripts breaks AMSLPR’s own pages: they load Bootstrap, jQuery, video and chart programs from three CDNs',
    items: [24],
    answer:
      'The guide’s policy is the default; `nginx: scripts: cdn` lets these three hosts in, `self` is for pages without scripts of their own.',
    why: 'Whoever controls such a host runs code in pages that open the barrier, and a site may have no Internet: so an operator decides. With the default those pages lose layout, charts and live video. Better is a version of AMSLPR that brings the files itself; putting them in from outside would change its pages.',
    checks: ['nginx/policy'],
    tests: ['test/unit/stages-app.test.ts: allows scripts as far as the option says'],
  },
  {
    finding:
      '`X-XSS-Protection: 1; mode=block` can itself be used against a page, and browsers have dropped the filter',
    items: [22],
    answer: 'The value is 0.',
    why: '0 is what switches the filter off in browsers that still have it.',
    checks: ['nginx/headers-sent'],
  },
  {
    finding: 'HSTS has two values (31536000 and 63072000 with preload), and preload needs a public domain',
    items: [23, 45],
    answer: '31536000 with includeSubDomains; the other by option.',
    why: 'Preloading commits a whole domain for months, and a device at `gate.local` has none.',
    checks: ['nginx/hsts'],
  },
  {
    finding: 'OCSP stapling does nothing: Let’s Encrypt has switched its responders off, and the lines lack a resolver',
    items: [46],
    answer: 'Off; on by option for an authority that has a responder.',
    why: 'nginx would warn at every start.',
    checks: ['nginx/stapling', 'nginx/valid'],
  },
  {
    finding:
      'SQLCipher would be a program without a use: Debian has no Python module for it, and AMSLPR opens its database in 37 places',
    items: [28],
    answer: 'LUKS below the database, and encrypted backups.',
    why: 'The same data is unreadable without a key, with no change of code that is not ours.',
    checks: ['application/encrypted', 'data/binds', 'backup/private'],
  },
  {
    finding:
      'A copy of a database that is in use can lack what was written last, and says that it is whole; the line runs as root in the application’s folder',
    items: [29, 65],
    answer: 'SQLite’s own backup, whose rows are counted against the original’s, in a sandbox; a failure is an alert.',
    why: 'Of a database with a write-ahead log, `cp` took none of 1000 rows.',
    checks: ['backup/works', 'backup/alert', 'backup/sandbox'],
    tests: [
      'device/tests/test_backup.py: test_write_ahead_log_is_in_the_copy',
      'device/tests/test_backup.py: test_damaged_database_is_no_backup',
    ],
  },
  {
    finding:
      'nginx is "configured by default" by two installers only, and neither runs to its end; one of them serves pictures of plates without a log-in',
    items: [40],
    answer: 'The site is ours: every page goes through the application, and nothing of its folders is served.',
    why: 'Pictures of plates are personal data.',
    checks: ['nginx/our-site', 'nginx/closed-site', 'nginx/stranger'],
  },
  {
    finding:
      'Behind nginx all clients look like 127.0.0.1 to the application, and its line for a failed log-in has no address',
    items: [6, 52],
    answer: 'nginx reports attempts with the address, for fail2ban; the wrapper tells the application the real one.',
    why: 'A ban needs to know whom.',
    checks: ['nginx/login-lines', 'fail2ban/login'],
    tests: ['test/python/test_wrapper.py: test_failed_log_in_names_the_client'],
  },
  {
    finding: 'A scan of oneself proves nothing, and OpenVAS is no package of Debian',
    items: [47, 48],
    answer: 'Scans run from another machine, by a run-book; `ci/score` scans from a second guest.',
    why: 'A scanner on the device would help an intruder and needs more memory than a Pi has.',
    checks: ['base-system/no-debugger', 'firewall/ports'],
    runBooks: ['scans'],
  },
  {
    finding:
      'Raspberry Pi OS keeps its journal in memory, so there is nothing to rotate, and nothing to look at after a restart',
    items: [54],
    answer: 'A drop-in that sorts after its own keeps it on the encrypted partition, with limits.',
    why: 'Evidence has to outlive a power cut.',
    checks: ['journal/limits', 'journal/persistent'],
  },
  {
    finding: 'AMSLPR’s own script for backup and restore deletes the backups, the safety copy that it just made too',
    items: [65, 66, 67],
    answer:
      'It is not installed. A restore keeps what was there, and takes itself back when the application does not answer.',
    why: 'A restore is tried on a bad day.',
    checks: ['backup/restore-undo', 'backup/folder'],
    tests: [
      'device/tests/test_backup.py: test_restore_goes_back_when_the_application_does_not_answer',
      'device/tests/test_backup.py: test_a_cut_restore_is_taken_back',
    ],
  },
  {
    finding: 'Two of the links at its end lead to pages that have moved or are gone',
    why: 'The guide is not ours to change; nothing of the image depends on them.',
  },
];
