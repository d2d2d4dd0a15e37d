import type { Check } from '../../src/core/check.ts';
import { file, run } from '../../src/core/shorthand.ts';
import { curl, type Sent, sent } from './headers.ts';

const open = { when: 'data-open' } as const;

export interface Limits {
  readonly requestsPerMinute: number;
  readonly burst: number;
  readonly loginBurst: number;
}

/** The limits in nginx's files. */
export const limitFiles = ({ requestsPerMinute }: Limits): Readonly<Record<string, Check>> => ({
  limits: file('Requests are limited', '/etc/nginx/conf.d/amslpr.conf', {
    guide: [25],
    matches: [new RegExp(`rate=${requestsPerMinute}r/m;`), /^limit_req_status 429;$/m],
  }),
  'quiet-log': file('What nginx refuses does not fill its log', '/etc/nginx/conf.d/amslpr.conf', {
    guide: [54],
    matches: [/^access_log \S+ combined if=\$amslpr_logged;$/m, /^error_log \S+ crit;$/m],
  }),
  'login-lines': file('Log-in attempts go to the journal, for fail2ban', '/etc/nginx/sites-available/amslpr', {
    guide: [52],
    matches: /^\s*access_log syslog:server=unix:\/dev\/log,.*tag=amslpr_login,.* if=\$amslpr_login_client;$/m,
  }),
});

/** Proves the limits by going over them, from addresses of their own, so that the other checks keep what is theirs. */
export function limitAnswers(options: Limits & Sent): Readonly<Record<string, Check>> {
  const { requestsPerMinute, burst, loginBurst } = options;
  const ask = 'curl --silent --insecure --max-time 60 --output /dev/null --write-out %{http_code};';
  const logins = run(
    'Who tries too many passwords is told to wait',
    `${ask} --interface 127.0.0.8 --request POST https://127.0.0.1/login?[1-${loginBurst + 30}]`,
    { ...open, guide: [25], matches: [/^400;/, /429;/] },
  );
  const told = run(
    'Who is told to wait gets each security header too',
    `${curl} --interface 127.0.0.10 --request POST https://127.0.0.1/login?[1-${loginBurst + 30}]`,
    {
      ...open,
      guide: [20, 21, 22, 23, 24, 25, 45],
      matches: sent(options).map(
        ({ source }) => new RegExp(`^HTTP/\\S+ 429[^\\n]*\\n(?:\\S[^\\n]*\\n)*${source.slice(1)}`, 'im'),
      ),
    },
  );
  // An emulated board cannot ask more often than this, so there is nothing to see.
  if (requestsPerMinute > 300) return { 'limit-logins': logins, 'limit-headers': told };
  const requests = run(
    'Who asks too often is told to wait',
    `${ask} --interface 127.0.0.9 https://127.0.0.1/health?[1-${burst + requestsPerMinute + 50}]`,
    { ...open, guide: [25], matches: [/^200;/, /429;/] },
  );
  return { 'limit-requests': requests, 'limit-logins': logins, 'limit-headers': told };
}
