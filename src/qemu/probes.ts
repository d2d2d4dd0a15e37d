import { createHash, type X509Certificate } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { TLSSocket } from 'node:tls';
import type { CheckResult } from '../core/check.ts';
import type { Guest } from './guest.ts';
import { offeredMethods } from './ssh.ts';

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
  /** The server's certificate, when there was one. */
  readonly certificate?: X509Certificate;
  readonly protocol?: string;
}

/** One request to the guest. The certificate is not judged here: it is self-signed and compared by its digest. */
export function get(guest: Guest, scheme: 'http' | 'https', path: string): Promise<Answer> {
  const port = guest.ports[scheme];
  const options = { host: '127.0.0.1', port, path, timeout: 60_000, agent: false as const };
  return new Promise((resolve, reject) => {
    const request = scheme === 'http' ? httpRequest(options) : httpsRequest({ ...options, rejectUnauthorized: false });
    request.on('error', reject);
    request.on('timeout', () => request.destroy(new Error('no answer within 60 s')));
    request.on('response', (response) => {
      // Asked for before the connection ends: an ended one has no certificate.
      const socket = scheme === 'https' ? (response.socket as TLSSocket) : undefined;
      const raw = socket?.getPeerX509Certificate();
      const protocol = socket?.getProtocol() ?? undefined;
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('error', reject);
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(parts).toString(),
          ...(raw === undefined ? {} : { certificate: raw }),
          ...(protocol === undefined ? {} : { protocol }),
        }),
      );
    });
    request.end();
  });
}

/** SHA-256 of a certificate's public key (SubjectPublicKeyInfo), in hex. */
export function keyDigest(certificate: X509Certificate): string {
  return createHash('sha256')
    .update(certificate.publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex');
}

const hex = (fingerprint: string): string => fingerprint.replaceAll(':', '').toLowerCase();

/** The report that the device wrote onto its boot partition; without the padding. */
export async function deviceReport(guest: Guest): Promise<string> {
  return ((await guest.bootFile('/report.json'))?.toString('utf8') ?? '').trim();
}

interface Probe {
  readonly id: string;
  readonly title: string;
  readonly guide: readonly number[];
  readonly expected: string;
  look(guest: Guest, admin: string): Promise<{ readonly ok: boolean; readonly evidence: string }>;
}

const probes: readonly Probe[] = [
  {
    id: 'from-outside/tls',
    title: 'TLS answers through the firewall with the key that the report names',
    guide: [],
    expected: 'TLS 1.2 or 1.3 on port 443, with the key or certificate whose SHA-256 is in report.json',
    async look(guest) {
      const { certificate, protocol } = await get(guest, 'https', '/login');
      if (certificate === undefined) return { ok: false, evidence: 'no certificate came' };
      const report = hex(await deviceReport(guest));
      const [whole, key] = [hex(certificate.fingerprint256), keyDigest(certificate)];
      const base64 = Buffer.from(key, 'hex').toString('base64').toLowerCase();
      const named = [whole, key, base64].some((digest) => report.includes(digest));
      const evidence = `${protocol}, certificate ${whole}, key ${key}, ${named ? '' : 'not '}in the report`;
      return { ok: named && (protocol === 'TLSv1.3' || protocol === 'TLSv1.2'), evidence };
    },
  },
  {
    id: 'from-outside/redirect',
    title: 'HTTP leads to HTTPS and nothing else',
    guide: [],
    expected: 'a permanent redirect to https://',
    async look(guest) {
      const { status, headers } = await get(guest, 'http', '/login?x=1');
      const to = String(headers['location'] ?? '');
      return { ok: [301, 308].includes(status) && to.startsWith('https://'), evidence: `${status}, location ${to}` };
    },
  },
  {
    id: 'from-outside/login-page',
    title: 'The application shows its log-in page',
    guide: [],
    expected: 'status 200 and a form with a password field',
    async look(guest) {
      const { status, body } = await get(guest, 'https', '/login');
      const form = /<form[\s>]/i.test(body) && /type=["']?password/i.test(body);
      return { ok: status === 200 && form, evidence: `${status}, ${body.length} bytes, ${form ? 'a' : 'no'} form` };
    },
  },
  {
    id: 'from-outside/ssh-keys-only',
    title: 'SSH offers nothing but keys',
    guide: [],
    expected: 'publickey as the only method that can continue',
    async look(guest, admin) {
      const said = await offeredMethods(guest, admin);
      return { ok: /Permission denied \(publickey\)/.test(said), evidence: said.split('\n').at(-1) || 'nothing' };
    },
  },
];

/** Looks at a ready guest as a stranger on the network would; a probe that cannot be answered fails. */
export async function probeFromOutside(guest: Guest, admin: string): Promise<CheckResult[]> {
  const results: CheckResult[] = [];
  for (const { id, title, guide, expected, look } of probes) {
    const { ok, evidence } = await look(guest, admin).catch((error: unknown) => ({
      ok: false,
      evidence: error instanceof Error ? error.message || error.name : String(error),
    }));
    results.push({ id, title, guide, evidence, ...(ok ? { outcome: 'pass' } : { outcome: 'fail', expected }) });
  }
  return results;
}
