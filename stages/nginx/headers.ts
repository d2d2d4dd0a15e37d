import type { Check } from '../../src/core/check.ts';
import { file, run } from '../../src/core/shorthand.ts';

const open = { when: 'data-open' } as const;

/** Prints the headers of an answer. */
export const curl = 'curl --silent --insecure --max-time 20 --output /dev/null --dump-header -';

/** Each security header as an answer has it. */
export const sent = [
  /^x-content-type-options: nosniff\r?$/im,
  /^x-frame-options: SAMEORIGIN\r?$/im,
  /^x-xss-protection: 0\r?$/im,
  /^strict-transport-security: max-age=/im,
  /^content-security-policy: default-src 'self'/im,
];
const twice =
  /^(x-content-type-options|x-frame-options|x-xss-protection|strict-transport-security|content-security-policy):[\s\S]*^\1:/im;

/** The headers in nginx's files. */
export const headerFiles: Readonly<Record<string, Check>> = {
  policy: file('Every header is sent on errors too', '/etc/nginx/snippets/amslpr-headers.conf', {
    guide: [20, 21, 22, 24],
    matches: [
      /^add_header Content-Security-Policy "default-src 'self';/m,
      /^add_header X-Content-Type-Options "nosniff" always;$/m,
      /^add_header X-Frame-Options "SAMEORIGIN" always;$/m,
      /^add_header X-XSS-Protection "0" always;$/m,
    ],
    lacks: /^add_header (?!.* always;$)/m,
  }),
  hsts: file('Browsers are told to come by TLS only, on errors too', '/etc/nginx/snippets/amslpr-tls.conf', {
    guide: [23, 45],
    matches: /^add_header Strict-Transport-Security "max-age=\d+; includeSubDomains(; preload)?" always;$/m,
  }),
};

/** The headers of its answers: of pages, errors, redirects and refusals. */
export const headerAnswers: Readonly<Record<string, Check>> = {
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
};
