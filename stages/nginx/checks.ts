import type { Check } from '../../src/core/check.ts';
import { file, link, run, unit } from '../../src/core/shorthand.ts';

const open = { when: 'data-open' } as const;
const headers = '/etc/nginx/snippets/amslpr-headers.conf';
const tls = '/etc/nginx/snippets/amslpr-tls.conf';
const curl = 'curl --silent --insecure --max-time 20 --output /dev/null --dump-header -';

const sent = [
  /^x-content-type-options: nosniff\r?$/im,
  /^x-frame-options: SAMEORIGIN\r?$/im,
  /^x-xss-protection: 0\r?$/im,
  /^strict-transport-security: max-age=/im,
  /^content-security-policy: default-src 'self'/im,
];
const twice =
  /^(x-content-type-options|x-frame-options|x-xss-protection|strict-transport-security|content-security-policy):[\s\S]*^\1:/im;

interface Options {
  readonly requestsPerMinute: number;
  readonly burst: number;
  readonly loginBurst: number;
  readonly staplingResolver?: string;
}

/** What must hold of nginx's files, and of its answers once the data partition is open. */
export function nginxChecks(options: Options): Readonly<Record<string, Check>> {
  const { requestsPerMinute, staplingResolver } = options;
  return {
    protocols: file('Only TLS 1.2 and 1.3 are spoken', tls, {
      guide: [18, 41],
      matches: /^ssl_protocols TLSv1\.2 TLSv1\.3;$/m,
    }),
    ciphers: file('The ciphers are the six of the guide', tls, {
      guide: [42, 43],
      matches: [
        /^ssl_prefer_server_ciphers on;$/m,
        /^ssl_ciphers '(ECDHE-(ECDSA|RSA)-(AES256-GCM-SHA384|CHACHA20-POLY1305|AES128-GCM-SHA256):?){6}';$/m,
      ],
    }),
    sessions: file('Sessions are kept on the server, without tickets', tls, {
      guide: [44],
      matches: [/^ssl_session_tickets off;$/m, /^ssl_session_timeout 1d;$/m, /^ssl_session_cache shared:SSL:10m;$/m],
    }),
    stapling: file('Stapling is on only with a resolver', tls, {
      guide: [46],
      ...(staplingResolver ? { matches: /^resolver /m } : { lacks: /ssl_stapling/ }),
      why: 'With a certificate that names no OCSP responder nginx would only warn at every start.',
    }),
    policy: file('Every header is sent on errors too', headers, {
      guide: [20, 21, 22, 24],
      matches: [
        /^add_header Content-Security-Policy "default-src 'self';/m,
        /^add_header X-Content-Type-Options "nosniff" always;$/m,
        /^add_header X-Frame-Options "SAMEORIGIN" always;$/m,
        /^add_header X-XSS-Protection "0" always;$/m,
      ],
      lacks: /^add_header (?!.* always;$)/m,
    }),
    hsts: file('Browsers are told to come by TLS only, on errors too', tls, {
      guide: [23, 45],
      matches: /^add_header Strict-Transport-Security "max-age=\d+; includeSubDomains(; preload)?" always;$/m,
    }),
    'key-exchange': file('A hybrid post-quantum key exchange comes first', tls, {
      guide: [18],
      matches: /^ssl_ecdh_curve X25519MLKEM768:/m,
    }),
    'closed-by-default': file(
      'The site for unknown host names is the default one',
      '/etc/nginx/sites-available/amslpr-closed',
      {
        guide: [40],
        matches: [
          /^\s*listen 80 default_server;$/m,
          /^\s*listen \[::\]:443 ssl default_server;$/m,
          /^\s*return 444;$/m,
        ],
      },
    ),
    'closed-site': link(
      'Unknown host names get no answer',
      '/etc/nginx/sites-enabled/default',
      '../sites-available/amslpr-closed',
      { guide: [40] },
    ),
    'our-site': link('Our site is on', '/etc/nginx/sites-enabled/amslpr', '../sites-available/amslpr', {
      guide: [40],
    }),
    limits: file('Requests are limited', '/etc/nginx/conf.d/amslpr.conf', {
      guide: [25],
      matches: [new RegExp(`rate=${requestsPerMinute}r/m;`), /^limit_req_status 429;$/m],
    }),
    'login-lines': file('Log-in attempts go to the journal, for fail2ban', '/etc/nginx/sites-available/amslpr', {
      guide: [52],
      matches: /^\s*access_log syslog:server=unix:\/dev\/log,.*tag=amslpr_login,.* if=\$amslpr_login_client;$/m,
    }),
    'not-at-boot': unit('nginx waits for the encrypted data', 'nginx.service', 'disabled'),
    valid: run('nginx finds no fault in its configuration', 'nginx -t', {
      ...open,
      guide: [40, 46],
      matches: /test is successful/,
      lacks: /\[(warn|emerg|alert|crit)\]/,
    }),
    serves: run('The application answers through nginx', `${curl} https://127.0.0.1/login`, {
      ...open,
      guide: [40],
      matches: /^HTTP\/\S+ 200/,
    }),
    redirect: run('HTTP leads to HTTPS', `${curl} http://127.0.0.1/`, {
      ...open,
      guide: [17],
      matches: [/^HTTP\/1\.1 301/, /^Location: https:\/\/127\.0\.0\.1\//m],
    }),
    stranger: run(
      'A host name that is not ours gets no answer',
      'curl --silent --insecure --max-time 20 --http1.1 --head --header Host:stranger.invalid https://127.0.0.1/',
      { ...open, guide: [40], exit: 56, lacks: /HTTP/ },
    ),
    'stranger-http': run(
      'A host name that is not ours is not redirected',
      'curl --silent --max-time 20 --head --header Host:stranger.invalid http://127.0.0.1/',
      { ...open, guide: [40], exit: 52, lacks: /HTTP/ },
    ),
    'headers-sent': run('Each security header is sent once', `${curl} https://127.0.0.1/login`, {
      ...open,
      guide: [20, 21, 22, 23, 24, 45],
      matches: [/^HTTP\/\S+ 200/, ...sent],
      lacks: twice,
    }),
    'headers-on-errors': run(
      'Each security header is sent with errors too',
      `${curl} https://127.0.0.1/unavailable.html`,
      { ...open, guide: [20, 21, 22, 23, 24, 45], matches: [/^HTTP\/\S+ 404/, ...sent], lacks: twice },
    ),
    'headers-on-redirect': run(
      'The way to HTTPS has the headers too, but the one for HTTPS',
      `${curl} http://127.0.0.1/`,
      {
        ...open,
        guide: [20, 21, 22, 24],
        matches: [/^HTTP\/1\.1 301/, ...sent.filter((one) => !one.source.includes('strict'))],
        lacks: [twice, /^strict-transport-security:/im],
      },
    ),
    'headers-on-refusal': run(
      'Each security header is sent with a refusal of too much data',
      `${curl} --http1.1 --request POST --header Content-Length:999999999 https://127.0.0.1/`,
      { ...open, guide: [20, 21, 22, 23, 24, 45], matches: [/^HTTP\/\S+ 413/, ...sent], lacks: twice },
    ),
    ...limitChecks(options),
    'no-version': run('nginx does not tell its version', `${curl} https://127.0.0.1/no-such-page`, {
      ...open,
      lacks: /^server: nginx\//im,
      matches: /^server: nginx\r?$/im,
    }),
    sandbox: run('nginx is locked in', 'systemd-analyze security --no-pager --threshold=25 nginx.service', {
      matches: /Overall exposure level for nginx\.service/,
    }),
  };
}

/** Proves the limits by going over them, from addresses of their own, so that the other checks keep what is theirs. */
function limitChecks({ requestsPerMinute, burst, loginBurst }: Options): Readonly<Record<string, Check>> {
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
      matches: sent.map(
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
