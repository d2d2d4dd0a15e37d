import type { Finding } from './finding.ts';

const wrapper = 'test/python/test_wrapper.py';
const standIn = 'test/python/test_standin.py';
const stages = 'test/unit/stages-app.test.ts';

/** Parts of AMSLPR that the guide relies on, as they are. */
export const applicationFindings: readonly Finding[] = [
  {
    finding:
      'The backup program of the crontab line was in no version of AMSLPR, nor was the `restore.py` of its handbook',
    items: [29, 65],
    answer: 'Backup and restore are commands of the image: `amslpr-device backup`, `amslpr-device restore`.',
    why: 'The line ends with an error every night, and sends the message to /dev/null.',
    checks: ['backup/no-cron', 'backup/works', 'backup/good', 'backup/alert'],
  },
  {
    finding:
      'No installer of AMSLPR gives a service that works and is safe: some stop at packages and programs that do not exist, others start Flask’s development server with debugging on every address',
    items: [3, 40],
    answer:
      'A unit of ours runs gunicorn on a Unix socket behind nginx. No installer of AMSLPR is run, nor taken along.',
    why: 'Most also run the service as root or as an account that is not there, and make secrets readable for everybody.',
    checks: ['application/unit', 'application/active', 'application/no-port', 'nginx/serves'],
    tests: [`${stages}: takes from a folder what is on its list, and no secret, test or session`],
  },
  {
    finding:
      'The web application ignores /etc/amslpr, /var/lib/amslpr and /var/log/amslpr: configuration, accounts, keys, database and backups are looked for beside its code',
    items: [7, 10, 26],
    answer:
      'Its release has links from there to /etc/amslpr/config.json and /var/lib/amslpr; the wrapper writes the log.',
    why: 'Permissions on the folders of the guide would protect files that nobody uses.',
    checks: ['application/data', 'application/data-config', 'application/config', 'folders/logs'],
    tests: [
      `${stages}: installs the stand-in by default, read-only, with its data elsewhere`,
      `${standIn}: test_makes_what_amslpr_makes`,
    ],
  },
  {
    finding:
      'A Fernet key, the account admin/admin and a default password for cameras are published with the code, and installers copy all of it',
    items: [30, 37],
    answer:
      'Only listed files of a source are taken, never keys, accounts or sessions; an image with one of them, by name or by digest, fails the audit of its build. Each device makes its own.',
    why: 'Whoever has a published key shares it with everybody.',
    checks: ['base-system/leaks', 'application/no-secrets', 'first-boot/fernet-key', 'first-boot/web-accounts'],
    tests: ['device/tests/test_app.py: test_secrets_and_tests_stay_out'],
  },
  {
    finding:
      'Without a file of accounts the application makes admin with the password admin, and makes the file writable for everybody after each log-in',
    items: [15],
    answer:
      'The first boot makes the account with a password of its own; the wrapper does not start without it, refuses the published passwords, and takes the rights back after each log-in.',
    why: 'Nothing in AMSLPR ever asks for another password.',
    checks: ['application/default-password', 'application/accounts'],
    tests: [`${wrapper}: test_does_not_start_open_to_all`, `${wrapper}: test_accounts_stay_private`],
  },
  {
    finding:
      'Sessions are signed with a key that is published unless `FLASK_SECRET_KEY` is set, and fall back to such cookies when their folder cannot be written, which the layout of the guide brings about',
    items: [7, 27],
    answer:
      'The first boot makes the key, in a folder for root alone; the wrapper does not start with less than 32 characters. The folder of sessions belongs to the application, and the package that they need is in the list for AMSLPR.',
    why: 'Anybody could make a cookie of an administrator.',
    checks: ['folders/secrets', 'folders/state', 'apparmor/application-keys'],
    tests: [
      'device/tests/test_steps.py: test_the_application_gets_secrets_of_its_own',
      `${wrapper}: test_does_not_start_open_to_all`,
      `${stages}: brings the packages that AMSLPR imports, or those that are named`,
    ],
  },
  {
    finding:
      'The security headers that "the application automatically sets" were set by its first version and are not since April 2025',
    items: [20, 21, 22, 23, 24],
    answer: 'nginx sends them, and hides those of the application, so that each comes once in either case.',
    why: 'Two different values of one header leave it to the browser which one holds.',
    checks: ['nginx/headers-sent', 'nginx/headers-on-errors'],
    tests: [
      `${stages}: hides each header that it adds when the application sends it`,
      `${standIn}: test_security_headers_of_both_versions`,
    ],
  },
  {
    finding: 'Rate limiting "enabled by default" is not: no code reads these settings of config.json',
    items: [25],
    answer: 'nginx limits requests for each client, and log-ins more tightly.',
    why: 'Behind a proxy a limit inside the application would also count all clients as one.',
    checks: ['nginx/limits', 'nginx/limit-requests', 'nginx/limit-logins'],
  },
  {
    finding: 'There is no lock-out after wrong passwords, whatever `max_failed_logins` says',
    items: [25, 52],
    answer: 'nginx limits tries at the log-in page, and fail2ban bans the address after three failures.',
    why: 'An address is banned and no account is locked: locking accounts would let strangers keep the operator out.',
    checks: ['nginx/limit-logins', 'nginx/login-lines', 'fail2ban/login', 'fail2ban/follows'],
  },
  {
    finding:
      'Camera passwords are not encrypted: the functions for it are called nowhere, and the Fernet key protects nothing',
    items: [37],
    answer: 'Database and backups are encrypted as a whole: by LUKS, and to the keys of the operator.',
    why: 'Changing that is a change of AMSLPR’s code, which is not ours. Whoever breaks the application can read the passwords.',
    checks: ['application/encrypted', 'backup/private', 'application/key'],
    runBooks: ['cameras'],
  },
  {
    finding: 'Pages for vehicles and OCR settings need no log-in: a stranger could add a plate that opens the barrier',
    answer:
      'The wrapper asks for a session on every page but the start, the log-in, /health and static files; /api/ is left to the key that AMSLPR itself asks for there.',
    why: 'It wraps and does not patch, since the licence of AMSLPR allows no changed copy.',
    checks: ['application/pages-closed'],
    tests: [`${wrapper}: test_pages_need_a_log_in`, `${wrapper}: test_adding_a_vehicle_needs_a_log_in`],
  },
  {
    finding:
      'Errors answer with a stack trace, an unknown page too; the development server adds a console that runs code',
    answer: 'The wrapper takes the handler away and switches debugging off; the development server is not used.',
    why: 'A trace shows paths and settings to whoever asks for a page that is not there.',
    checks: ['application/no-port'],
    tests: [`${wrapper}: test_errors_show_no_stack`, `${wrapper}: test_missing_token_is_the_clients_error`],
  },
  {
    finding: '`?next=` leads to any other site after the log-in',
    answer: 'The wrapper replaces every redirect that leaves the site by `/`, and notes it in the log.',
    why: 'A link to the device could lead to a copy of its log-in page elsewhere.',
    tests: [`${wrapper}: test_redirects_stay_here`, `${wrapper}: test_browsers_tricks_with_addresses_are_known`],
  },
  {
    finding: 'Session cookies have neither Secure nor SameSite',
    answer: 'The wrapper and nginx both add what is missing.',
    why: 'Pages of other sites could act with the session of somebody who is logged in.',
    tests: [`${wrapper}: test_cookies_are_marked`],
  },
  {
    finding:
      'At its start the application logs its whole configuration with passwords, and camera addresses with theirs',
    items: [13, 54],
    answer:
      'Its log file holds warnings and worse only; the journal, where the rest goes, is encrypted and for administrators. No password may be in the config.json of a source, which nothing looks for.',
    why: 'What the application writes while it is imported cannot be kept from the journal without a change of its code.',
    checks: ['journal/encrypted', 'journal/readers', 'folders/log-files'],
  },
  {
    finding: 'The application’s own alerts never leave it: what would send them is never called',
    items: [50, 51],
    answer: 'Alerts are the image’s, and look at units, card, memory and log-ins from outside the application.',
    why: 'A program that failed cannot tell of it.',
    checks: ['monitoring/looks', 'monitoring/heard', 'monitoring/mail'],
  },
  {
    finding: '/health says "healthy" without a database too',
    items: [59],
    answer: 'After an update the log-in page has to answer, and the database to take a row.',
    why: 'A constant answer proves that a process runs and nothing else. While in service, the run-book has another machine ask for the log-in page.',
    tests: ['device/tests/test_app.py: leaves no database'],
    runBooks: ['application-update', 'monitoring'],
  },
  {
    finding:
      'In versions from May 2025 on, pages for cameras and OCR are missing: a name is given twice, and the application goes on without them',
    why: 'It is a fault in code that is not ours. The image brings what these pages import; a version of AMSLPR in which they work has to come from its maker.',
  },
  {
    finding: 'How AMSLPR is updated is not said; its installer pulls an unpinned branch as root',
    items: [59],
    answer:
      'Releases, each a folder named by its content, tried before they stay, with a way back for the database too.',
    why: 'What root pulls from a branch is whatever somebody pushed there.',
    checks: ['application/release', 'application/recovers', 'application/releases'],
    tests: ['device/tests/test_app.py: test_update_and_rollback'],
    runBooks: ['application-update'],
  },
  {
    finding: '"Restart" in the web interface runs sudo and says that it worked, whatever happens',
    why: 'The sandbox lets the application gain no rights, so that button does nothing: `sudo systemctl restart amslpr` does. Restoring in the web interface ends the application, and it is started again.',
  },
  {
    finding: 'AMSLPR starts with Debian’s packages alone but for pytesseract, which Debian does not have',
    items: [2, 60],
    answer: 'With `source` the packages are installed, and a small module stands in for pytesseract.',
    why: 'Packages of Debian get security updates by themselves; what pip installs does not. requirements.txt cannot even be installed with the Python of Debian 13.',
    checks: ['base-system/packaged', 'updates/daily'],
    tests: [`${stages}: brings the packages that AMSLPR imports, or those that are named`],
  },
];
