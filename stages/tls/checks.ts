import type { Check } from '../../src/core/check.ts';
import { absent, file, installed, run, unit } from '../../src/core/shorthand.ts';

const open = { when: 'data-open' } as const;
const certificate = '/etc/amslpr/ssl/cert.pem';
const client = 'openssl s_client -connect 127.0.0.1:443 -brief';
/** For a key of either kind. */
const suites = (cipher: string) => `ECDHE-ECDSA-${cipher}:ECDHE-RSA-${cipher}`;

/** What must hold of its files, and of the booted device. */
export function tlsChecks(): Readonly<Record<string, Check>> {
  return {
    'no-key': absent(
      'No TLS key and no certificate of a device is in the image',
      ['/etc/amslpr/ssl/**', '/etc/ssl/private/*', '/opt/**/*.pem', '/opt/**/*.key'],
      { guide: [12], why: 'A key in the image would be the same on every card that is written from it.' },
    ),
    place: file('The first boot makes the folder of the TLS key for root alone', '/usr/share/amslpr/data-binds.json', {
      guide: [11],
      matches: /"path": "\/etc\/amslpr\/ssl",\s+"name": "tls",\s+"mode": "0700",\s+"owner": "root:root"/,
    }),
    timer: unit('Somebody looks at the certificate every day', 'amslpr-tls.timer', 'enabled', { guide: [17] }),
    renews: file(
      'A certificate that is due is made anew, or raises an alert',
      '/etc/systemd/system/amslpr-tls.service',
      {
        guide: [17],
        matches: [/^ExecStart=\/usr\/sbin\/amslpr-device tls renew$/m, /^OnFailure=amslpr-alert@%n\.service$/m],
      },
    ),
    'renewal-works': run('The certificate can be looked at now', 'systemctl start amslpr-tls.service', {
      ...open,
      guide: [17],
      exit: 0,
    }),
    folder: run('Only root enters the folder of the TLS key', 'stat --format=%a:%U:%G /etc/amslpr/ssl', {
      ...open,
      matches: /^700:root:root$/m,
      guide: [11],
      why: 'The guide has 750. nginx reads the key as root before it drops its rights: nobody else needs to enter.',
    }),
    key: run('Only root reads the TLS key', 'stat --format=%a:%U:%G /etc/amslpr/ssl/key.pem', {
      ...open,
      matches: /^600:root:root$/m,
      guide: [12],
    }),
    certificate: run('The certificate can be read but not run', `stat --format=%a:%U:%G ${certificate}`, {
      ...open,
      matches: /^644:root:root$/m,
      guide: [11],
      why: "After the guide's `chmod -R 750` the certificate is executable.",
    }),
    names: run('The certificate names its hosts', `openssl x509 -in ${certificate} -noout -ext subjectAltName`, {
      ...open,
      matches: /DNS:|IP Address:/,
      guide: [17],
    }),
    valid: run('The certificate is good today and tomorrow', `openssl x509 -in ${certificate} -checkend 86400`, {
      ...open,
      matches: /will not expire/,
      guide: [17],
    }),
    'post-quantum': run('A hybrid post-quantum key exchange is used', `${client} -groups X25519MLKEM768`, {
      ...open,
      matches: [/^Protocol version: TLSv1\.3/m, /^Negotiated TLS1\.3 group: X25519MLKEM768/m],
      guide: [18],
    }),
    'tls-1.2': run('TLS 1.2 is still spoken', `${client} -tls1_2`, {
      ...open,
      matches: /^Protocol version: TLSv1\.2/m,
      guide: [41],
    }),
    'server-chooses': run(
      'The cipher is the first of the server’s list, not of the client’s',
      `${client} -tls1_2 -cipher ${suites('AES128-GCM-SHA256')}:${suites('AES256-GCM-SHA384')}`,
      { ...open, matches: /^Ciphersuite: ECDHE-(ECDSA|RSA)-AES256-GCM-SHA384$/m, guide: [42] },
    ),
    'six-suites': run(
      'A client that has none of the six cipher suites is refused',
      `${client} -tls1_2 -cipher ALL:-ECDHE+AESGCM:-ECDHE+CHACHA20:@SECLEVEL=0`,
      { ...open, exit: 1, matches: /alert handshake failure/, guide: [43] },
    ),
    sessions: run(
      'A session is resumed from the cache of the server, without a ticket',
      'openssl s_client -connect 127.0.0.1:443 -tls1_2 -reconnect',
      { ...open, matches: /^Reused, TLSv1\.2/m, lacks: /TLS session ticket/, guide: [44] },
    ),
    'no-tls-1.1': run('TLS 1.1 is refused', `${client} -tls1_1 -cipher ALL:@SECLEVEL=0`, {
      ...open,
      exit: 1,
      matches: /alert protocol version|no protocols available/,
      guide: [41],
    }),
  };
}

/** With certbot. */
export function acmeChecks(): Readonly<Record<string, Check>> {
  return {
    certbot: installed('certbot is there', 'certbot', { guide: [17] }),
    'acme-timer': unit('A public certificate is renewed', 'amslpr-acme.timer', 'enabled', { guide: [17] }),
    'acme-alone': unit('Nothing else renews certificates', 'certbot.timer', 'masked', { guide: [17] }),
    'acme-page': file('The authority finds one folder, and nothing else', '/etc/nginx/snippets/amslpr-acme.conf', {
      guide: [17],
      matches: /^location \^~ \/\.well-known\/acme-challenge\/ \{\n {4}root \/run\/amslpr-acme;$/m,
    }),
    'acme-service': file('A failed renewal raises an alert', '/etc/systemd/system/amslpr-acme.service', {
      guide: [17],
      matches: [/^ExecStart=\/usr\/sbin\/amslpr-device tls acme$/m, /^OnFailure=amslpr-alert@%n\.service$/m],
    }),
  };
}
