import type { Check } from '../../src/core/check.ts';
import { file, link, run, unit } from '../../src/core/shorthand.ts';
import { curl, headerAnswers, headerFiles, type Sent } from './headers.ts';
import { type Limits, limitAnswers, limitFiles } from './limits.ts';

const open = { when: 'data-open' } as const;
const tls = '/etc/nginx/snippets/amslpr-tls.conf';

interface Options extends Limits, Sent {
  readonly staplingResolver?: string;
}

/** What must hold of nginx's files, and of its answers once the data partition is open. */
export function nginxChecks(options: Options): Readonly<Record<string, Check>> {
  const { staplingResolver } = options;
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
    ...headerFiles(options),
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
    ...limitFiles(options),
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
    ...headerAnswers(options),
    ...limitAnswers(options),
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
