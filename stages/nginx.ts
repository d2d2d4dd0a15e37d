import { built, folder, symlink } from '../src/core/shorthand.ts';
import { defineStage, Type } from '../src/core/stage.ts';
import { textOf } from '../src/core/values.ts';
import { nginxChecks } from './nginx/checks.ts';
import { contentPolicy, transportSecurity } from './nginx/header-values.ts';

const site = '/etc/nginx/sites-available/amslpr';

const count = (minimum: number, maximum: number, standard: number, description: string) =>
  Type.Integer({ minimum, maximum, default: standard, description });

export const nginx = defineStage({
  name: 'nginx',
  title: 'Put nginx with TLS in front of the application',
  about:
    'nginx is the only program that the network reaches over HTTP: it speaks TLS, sends each security header once, slows down whoever asks too often, and passes the rest to a Unix socket. Requests for a host name that is not the device’s get no answer. The limits, the policy for scripts and HSTS preloading are options.',
  guide: {
    20: built('nginx sends it, on every answer: AMSLPR sends none of these headers since April 2025.'),
    21: built('nginx sends it, and frame-ancestors says the same.'),
    22: built('nginx sends 0: the filter is gone from browsers, and `1; mode=block` could be used against a page.'),
    23: built('nginx sends it with `always`, on error pages too; not over plain HTTP, where RFC 6797 forbids it.'),
    24: built(
      'nginx sends the policy of the guide, with pictures as data: and no plug-ins added. AMSLPR’s own pages load layout, charts and live video from three CDNs and lose them by it: `scripts: cdn` lets these hosts in. It is no default, since whoever controls one of them could then act in pages that open the barrier.',
    ),
    25: built(
      'nginx limits requests to 100 a minute for each client: the settings in config.json are read by no code.',
    ),
    40: built('nginx is the reverse proxy, for a Unix socket; the package’s default site is closed.'),
    41: built('As in the guide.'),
    42: built('As in the guide.'),
    43: built('As in the guide, for TLS 1.2; TLS 1.3 prefers a post-quantum exchange, so that recordings stay closed.'),
    44: built('As in the guide.'),
    45: built(
      '31536000 seconds, as item 23 says: two values contradict. `hstsPreload` sends 63072000 with preload, which commits a whole public domain and so is no default.',
    ),
    46: built(
      'Off unless `staplingResolver` is given: certificates of the device and of Let’s Encrypt name no OCSP responder, and stapling needs a DNS server that the guide leaves out.',
    ),
  },
  needs: ['folders', 'application', 'tls'],

  options: Type.Object(
    {
      requestsPerMinute: count(10, 6000, 100, 'Requests of one client.'),
      burst: count(1, 500, 50, 'Requests above that rate at once.'),
      loginsPerMinute: count(1, 60, 5, 'Passwords that one client may try.'),
      loginBurst: count(1, 20, 5, 'Tries above that rate at once.'),
      maxBodyMb: count(1, 256, 16, 'Largest upload in MB.'),
      scripts: Type.Union([Type.Literal('self'), Type.Literal('inline'), Type.Literal('cdn')], {
        default: 'inline',
        description:
          'Scripts and styles that pages may use: files of the device, also those within a page (as in the guide), or also from the three CDNs that pages of AMSLPR load.',
      }),
      hstsPreload: Type.Boolean({
        default: false,
        description: 'Two years and preload. Only with a public certificate and name.',
      }),
      staplingResolver: Type.Optional(
        textOf('ipv4', {
          description: 'IPv4 address of a DNS server: staple OCSP answers, for a CA that has a responder.',
        }),
      ),
    },
    { additionalProperties: false },
  ),

  contribute(options, { overlay }) {
    const { requestsPerMinute, burst, loginsPerMinute, loginBurst, maxBodyMb, scripts, hstsPreload } = options;
    const sent = { hsts: transportSecurity(hstsPreload), csp: contentPolicy(scripts) };
    return {
      packages: ['nginx', 'curl'],
      files: [
        overlay('/etc/nginx/conf.d/amslpr.conf', { data: { requestsPerMinute, loginsPerMinute } }),
        overlay('/etc/nginx/snippets/amslpr-tls.conf', {
          data: { hsts: sent.hsts, staplingResolver: options.staplingResolver ?? '' },
        }),
        overlay('/etc/nginx/snippets/amslpr-headers.conf', { data: { csp: sent.csp } }),
        overlay('/etc/nginx/snippets/amslpr-proxy.conf'),
        overlay('/etc/nginx/sites-available/amslpr-closed'),
        overlay(site, { data: { burst, loginBurst, maxBodyMb } }),
        symlink('/etc/nginx/sites-enabled/amslpr', '../sites-available/amslpr'),
        // The package makes this link once, when it is installed; ours takes its place and no conffile is touched.
        symlink('/etc/nginx/sites-enabled/default', '../sites-available/amslpr-closed'),
        overlay('/etc/systemd/system/nginx.service.d/10-amslpr.conf'),
        overlay('/etc/systemd/system/amslpr-data.target.d/50-nginx.conf'),
        folder('/usr/share/amslpr/www'),
        overlay('/usr/share/amslpr/www/unavailable.html'),
      ],
      // Not at boot: amslpr-data.target starts it when the key can be read.
      units: { 'nginx.service': 'disabled' },
      dataBinds: [{ path: '/var/log/nginx', name: 'log-nginx', mode: '0755', owner: 'root:adm' }],
      openPorts: [
        { port: 80, protocol: 'tcp', action: 'allow', comment: 'HTTP, only to redirect' },
        { port: 443, protocol: 'tcp', action: 'allow', comment: 'HTTPS' },
      ],
      checks: nginxChecks({ ...options, ...sent }),
    };
  },
});
