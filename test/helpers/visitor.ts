import { request } from 'node:https';
import type { Reachable } from '../../src/qemu/ssh.ts';

export interface Page {
  readonly status: number;
  readonly body: string;
  /** Where the answer leads, when it is a redirect. */
  readonly location?: string;
}

/** Somebody with a browser before the application of a guest: cookies are kept, and forms carry the token of their page. */
export class Visitor {
  readonly #port: number;
  readonly #cookies = new Map<string, string>();

  constructor(guest: Pick<Reachable, 'ports'>) {
    this.#port = guest.ports.https;
  }

  page(path: string): Promise<Page> {
    return this.#ask('GET', path);
  }

  /** Opens the page `from` and sends its form to `to`. */
  async send(from: string, to: string, fields: Readonly<Record<string, string>>): Promise<Page> {
    const { body } = await this.page(from);
    const token = /name="csrf_token" value="([^"]+)"/.exec(body)?.[1] ?? '';
    return this.#ask('POST', to, new URLSearchParams({ csrf_token: token, ...fields }).toString());
  }

  /** Whether name and password were taken. */
  async logIn(name: string, password: string): Promise<boolean> {
    const { status, location } = await this.send('/login', '/login', { username: name, password });
    return status === 302 && /\/dashboard$/.test(location ?? '');
  }

  #ask(method: 'GET' | 'POST', path: string, form = ''): Promise<Page> {
    const cookie = [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const headers = {
      ...(cookie === '' ? {} : { cookie }),
      ...(method === 'GET' ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
      'content-length': Buffer.byteLength(form),
    };
    const to = { host: '127.0.0.1', port: this.#port, path, method, headers, agent: false as const, timeout: 120_000 };
    return new Promise((resolve, reject) => {
      // The certificate is self-signed, and compared elsewhere.
      const sent = request({ ...to, rejectUnauthorized: false }, (answer) => {
        for (const line of answer.headers['set-cookie'] ?? []) {
          const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
          this.#cookies.set(name, value);
        }
        const parts: Buffer[] = [];
        answer.on('data', (part: Buffer) => parts.push(part));
        answer.on('error', reject);
        answer.on('end', () => {
          const { location } = answer.headers;
          const page = { status: answer.statusCode ?? 0, body: Buffer.concat(parts).toString() };
          resolve({ ...page, ...(location === undefined ? {} : { location }) });
        });
      });
      sent.on('error', reject);
      sent.on('timeout', () => sent.destroy(new Error(`no answer to ${method} ${path} within 120 s`)));
      sent.end(form);
    });
  }
}
