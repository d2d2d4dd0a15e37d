import type { Check } from '../../src/core/check.ts';
import { file, literal, run } from '../../src/core/shorthand.ts';

const open = { when: 'data-open' } as const;

/** The values that an option decides. */
export interface Sent {
  readonly hsts: string;
  readonly csp: string;
}

/** Prints the headers of an answer. */
export const curl = 'curl --silent --insecure --max-time 20 --output /dev/null --dump-header -';

/** Each security header as an answer has it: the whole value, since a policy that begins well may end in `*`. */
export const sent = ({ hsts, csp }: Sent): RegExp[] => [
  /^x-content-type-options: nosniff\r?$/im,
  /^x-frame-options: SAMEORIGIN\r?$/im,
  /^x-xss-protection: 0\r?$/im,
  new RegExp(`^strict-transport-security: ${literal(hsts)}\\r?$`, 'im'),
  new RegExp(`^content-security-policy: ${literal(csp)}\\r?$`, 'im'),
];
const twice =
  /^(x-content-type-options|x-frame-options|x-xss-protection|strict-transport-security|content-security-policy):[\s\S]*^\1:/im;

/** The headers in nginx's files. */
export const headerFiles = ({ hsts, csp }: Sent): Readonly<Record<string, Check>> => ({
  policy: file('Every header is sent on errors too', '/etc/nginx/snippets/amslpr-headers.conf', {
    guide: [20, 21, 22, 24],
    matches: [
      new RegExp(`^add_header Content-Security-Policy "${literal(csp)}" always;$`, 'm'),
      /^add_header X-Content-Type-Options "nosniff" always;$/m,
      /^add_header X-Frame-Options "SAMEORIGIN" always;$/m,
      /^add_header X-XSS-Protection "0" always;$/m,
    ],
    lacks: /^add_header (?!.* always;$)/m,
  }),
  hsts: file('Browsers are told to come by TLS only, on errors too', '/etc/nginx/snippets/amslpr-tls.conf', {
    guide: [23, 45],
    matches: new RegExp(`^add_header Strict-Transport-Security "${literal(hsts)}" always;$`, 'm'),
  }),
});

/** The headers of its answers: of pages, errors, redirects and refusals. */
export function headerAnswers(values: Sent): Readonly<Record<string, Check>> {
  const every = sent(values);
  return {
    'headers-sent': run('Each security header is sent once', `${curl} https://127.0.0.1/login`, {
      ...open,
      guide: [20, 21, 22, 23, 24, 45],
      matches: [/^HTTP\/\S+ 200/, ...every],
      lacks: twice,
    }),
    'headers-on-errors': run(
      'Each security header is sent with errors too',
      `${curl} https://127.0.0.1/unavailable.html`,
      { ...open, guide: [20, 21, 22, 23, 24, 45], matches: [/^HTTP\/\S+ 404/, ...every], lacks: twice },
    ),
    'headers-on-redirect': run(
      'The way to HTTPS has the headers too, but the one for HTTPS',
      `${curl} http://127.0.0.1/`,
      {
        ...open,
        guide: [20, 21, 22, 24],
        matches: [/^HTTP\/1\.1 301/, ...every.filter((one) => !one.source.includes('strict'))],
        lacks: [twice, /^strict-transport-security:/im],
      },
    ),
    'headers-on-refusal': run(
      'Each security header is sent with a refusal of too much data',
      `${curl} --http1.1 --request POST --header Content-Length:999999999 https://127.0.0.1/`,
      { ...open, guide: [20, 21, 22, 23, 24, 45], matches: [/^HTTP\/\S+ 413/, ...every], lacks: twice },
    ),
  };
}
