import type { Check } from '../../src/core/check.ts';
import { directory, run } from '../../src/core/shorthand.ts';

const open = { when: 'data-open' } as const;
/** Prints "750:amslpr:amslpr" for a path. */
const stat = (path: string) => `stat --format=%a:%U:%G ${path}`;

/** Who may enter, read and write, in the image and once the data is open. */
export function foldersChecks(): Readonly<Record<string, Check>> {
  return {
    code: directory('The folder of the code belongs to root', '/opt/amslpr', {
      mode: '0755',
      owner: 'root:root',
      guide: [7, 9],
    }),
    settings: directory('Only root and the application enter /etc/amslpr', '/etc/amslpr', {
      mode: '0750',
      owner: 'root:amslpr',
      guide: [8],
    }),
    'settings-now': run('Nobody changed who enters /etc/amslpr', stat('/etc/amslpr'), {
      matches: /^750:root:amslpr$/m,
      guide: [8],
    }),
    'code-now': run(
      'The code is root’s, and no file of it is a program',
      'find /opt/amslpr ( -not -user root -o -perm /022 -not -type l -o -type f -perm /111 )',
      { lacks: /\S/, guide: [7, 9] },
    ),
    'code-read-only': run(
      'The application cannot write its own code',
      'setpriv --reuid=amslpr --regid=amslpr --clear-groups find /opt/amslpr -writable -not -type l',
      { lacks: /\S/, guide: [7] },
    ),
    state: run('Only the application enters its data', stat('/var/lib/amslpr'), {
      ...open,
      matches: /^750:amslpr:amslpr$/m,
      guide: [26, 27],
    }),
    database: run('The database is for the application only', stat('/var/lib/amslpr/data/amslpr.db'), {
      ...open,
      matches: /^640:amslpr:amslpr$/m,
      guide: [26, 27],
      why: 'The guide wants root:root. SQLite writes the file and a journal beside it, so both the file and its folder have to belong to the application.',
    }),
    logs: run('The log folder can be entered by its owner and read by adm', stat('/var/log/amslpr'), {
      ...open,
      matches: /^2750:amslpr:adm$/m,
      guide: [13],
      why: 'The guide\'s `chmod -R 640` takes the "x" from the folder, after which nobody can open or make a log.',
    }),
    'log-files': run('No log can be read by everybody', 'find /var/log/amslpr -type f -perm /037', {
      ...open,
      lacks: /\S/,
      guide: [13],
    }),
    secrets: run('Only root enters the secrets', stat('/etc/amslpr/secrets'), {
      ...open,
      matches: /^700:root:root$/m,
    }),
    account: run('The account of the application cannot log in', 'getent passwd amslpr', {
      matches: /^amslpr:x:950:950:[^:]*:\/var\/lib\/amslpr:\/usr\/sbin\/nologin$/m,
    }),
  };
}
