import { absent, built, file, run, runBook, text, unit } from '../src/core/shorthand.ts';
import { defineStage, Type } from '../src/core/stage.ts';

const open = { when: 'data-open' } as const;
const certificate = '/etc/amslpr/ssl/cert.pem';
const client = 'openssl s_client -connect 127.0.0.1:443 -brief';

export const tls = defineStage({
  name: 'tls',
  title: 'Keep the TLS key on the device that made it',
  about:
    'The first boot makes an ECDSA P-256 key and a certificate for the names and addresses of the site: the image holds neither. A timer makes a new certificate with the same key before the old one ends. A certificate of a public or company CA takes its place by the run-book.',
  guide: {
    12: built('/etc/amslpr/ssl/key.pem is made on the first boot, 600, on the encrypted data partition.'),
    17: runBook(
      'certificates',
      "HTTPS works from the first boot with the device's own certificate; a Let's Encrypt or company certificate needs a public name or that CA, which a device on a site's network may not have.",
    ),
    18: built('TLS 1.2 and 1.3 only; the settings are those of items 41 to 46.'),
    19: runBook('certificates', 'SSL Labs only reaches public hosts: testssl.sh and sslscan from the same network.'),
  },
  needs: ['folders'],

  options: Type.Object(
    {
      days: Type.Integer({
        minimum: 7,
        maximum: 398,
        default: 365,
        description: 'How long a certificate of the device is good for. Browsers refuse more than 398 days.',
      }),
    },
    { additionalProperties: false },
  ),

  contribute({ days }, { overlay }) {
    return {
      packages: ['openssl'],
      files: [
        text('/usr/share/amslpr/tls.json', `${JSON.stringify({ days })}\n`),
        overlay('/etc/systemd/system/amslpr-tls.service'),
        overlay('/etc/systemd/system/amslpr-tls.timer'),
      ],
      units: { 'amslpr-tls.timer': 'enabled' },
      dataBinds: [{ path: '/etc/amslpr/ssl', name: 'tls', mode: '0700', owner: 'root:root' }],
      checks: {
        'no-key': absent(
          'No TLS key and no certificate of a device is in the image',
          ['/etc/amslpr/ssl/**', '/etc/ssl/private/*', '/opt/**/*.pem', '/opt/**/*.key'],
          { guide: [12], why: 'A key in the image would be the same on every card that is written from it.' },
        ),
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
        'no-tls-1.1': run('TLS 1.1 is refused', `${client} -tls1_1 -cipher ALL:@SECLEVEL=0`, {
          ...open,
          exit: 1,
          matches: /alert protocol version|no protocols available/,
          guide: [41],
        }),
      },
    };
  },
});
