import { built, runBook, text } from '../src/core/shorthand.ts';
import { defineStage, Type } from '../src/core/stage.ts';
import { acmeChecks, tlsChecks } from './tls/checks.ts';

export const tls = defineStage({
  name: 'tls',
  title: 'Keep the TLS key on the device that made it',
  about:
    'The first boot makes an ECDSA P-256 key and a certificate for the names and addresses of the site: the image holds neither. A timer makes a new certificate with the same key before the old one ends. A certificate of a company CA takes its place by `amslpr-device tls request` and `tls install`, one of Let’s Encrypt by certbot with `acme: true` and a public name.',
  guide: {
    12: built('/etc/amslpr/ssl/key.pem is made on the first boot, 600, on the encrypted data partition.'),
    17: runBook(
      'certificates',
      "HTTPS works from the first boot with the device's own certificate; a company's CA signs the request of the device (`amslpr-device tls request` and `tls install`), Let's Encrypt's comes by certbot with `tls.acme` where the device has a public name.",
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
      acme: Type.Boolean({
        default: false,
        description:
          'Bring certbot, for devices with a public name: `amslpr-device tls public NAME` has Let’s Encrypt certify the key of the device.',
      }),
    },
    { additionalProperties: false },
  ),

  contribute({ days, acme }, { overlay }) {
    return {
      packages: ['openssl', ...(acme ? ['certbot'] : [])],
      files: [
        text('/usr/share/amslpr/tls.json', `${JSON.stringify({ days })}\n`),
        overlay('/etc/systemd/system/amslpr-tls.service'),
        overlay('/etc/systemd/system/amslpr-tls.timer'),
        ...(acme
          ? [
              overlay('/etc/nginx/snippets/amslpr-acme.conf'),
              overlay('/etc/systemd/system/amslpr-acme.service'),
              overlay('/etc/systemd/system/amslpr-acme.timer'),
            ]
          : []),
      ],
      units: {
        'amslpr-tls.timer': 'enabled',
        // certbot's own timer knows nothing of the device's key.
        ...(acme ? ({ 'amslpr-acme.timer': 'enabled', 'certbot.timer': 'masked' } as const) : {}),
      },
      dataBinds: [{ path: '/etc/amslpr/ssl', name: 'tls', mode: '0700', owner: 'root:root' }],
      checks: { ...tlsChecks(), ...(acme ? acmeChecks() : {}) },
    };
  },
});
