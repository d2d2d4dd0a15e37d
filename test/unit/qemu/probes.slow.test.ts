import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import type { Guest } from '../../../src/qemu/guest.ts';
import { keyDigest, probeFromOutside } from '../../../src/qemu/probes.ts';

// A device played by servers on this computer: right, and wrong in each way that a probe looks for.

const said = vi.hoisted(() => ({ methods: '' }));
vi.mock('../../../src/qemu/ssh.ts', () => ({ offeredMethods: async () => said.methods }));

let key: string;
let cert: string;
/** What the device answers, which a test makes wrong. */
let page: { status: number; body: string };
let redirect: { status: number; location: string };
let report: string;
let servers: Server[] = [];

beforeAll(() => {
  const folder = mkdtempSync(join(tmpdir(), 'amslpr-probes-'));
  const [keyFile, certFile] = [join(folder, 'key'), join(folder, 'cert')];
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', keyFile];
  execFileSync('openssl', ['req', '-x509', ...newKey, '-subj', '/CN=gate', '-out', certFile], { stdio: 'ignore' });
  key = readFileSync(keyFile, 'utf8');
  cert = readFileSync(certFile, 'utf8');
  rmSync(folder, { recursive: true });
});

beforeEach(() => {
  page = { status: 200, body: '<form method="post"><input type="password" name="password"></form>' };
  redirect = { status: 301, location: 'https://gate/login?x=1' };
  report = JSON.stringify({ tls: keyDigest(new X509Certificate(cert)) });
  said.methods = 'driver@127.0.0.1: Permission denied (publickey).';
});

afterEach(() => {
  for (const server of servers) server.close();
  servers = [];
});

const portOf = (server: Server): Promise<number> =>
  new Promise((resolve) => {
    servers.push(server);
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });

/** Ids of the probes that fail. */
async function failed(closed: readonly ('http' | 'https')[] = []): Promise<string[]> {
  const http = await portOf(
    createServer((_, answer) => answer.writeHead(redirect.status, { location: redirect.location }).end()),
  );
  const https = await portOf(
    createTlsServer({ key, cert }, (_, answer) => answer.writeHead(page.status).end(page.body)),
  );
  const ports = { ssh: 1, http: closed.includes('http') ? 1 : http, https: closed.includes('https') ? 1 : https };
  const guest = { ports, bootFile: async () => Buffer.from(report) } as unknown as Guest;
  const results = await probeFromOutside(guest, 'driver');
  for (const { evidence } of results) expect(evidence).toMatch(/\S/);
  return results.flatMap(({ id, outcome }) => (outcome === 'fail' ? [id] : []));
}

it('finds nothing wrong with a device that is right', async () => {
  expect(await failed()).toEqual([]);
});

it.each<[string, () => void, string]>([
  ['a report that names another key', () => (report = JSON.stringify({ tls: 'ab'.repeat(32) })), 'tls'],
  ['no report', () => (report = ''), 'tls'],
  ['a page where HTTP should lead on', () => (redirect.status = 200), 'redirect'],
  ['a redirect for now alone', () => (redirect.status = 302), 'redirect'],
  ['a redirect that stays with HTTP', () => (redirect.location = 'http://gate/'), 'redirect'],
  ['an application that fails', () => (page.status = 502), 'login-page'],
  ['a page without a form', () => (page.body = '<p>type="password"</p>'), 'login-page'],
  ['a form without a password', () => (page.body = '<form><input type="text"></form>'), 'login-page'],
  ['SSH that takes passwords', () => (said.methods = 'Permission denied (publickey,password).'), 'ssh-keys-only'],
  ['SSH that takes passwords alone', () => (said.methods = 'Permission denied (password).'), 'ssh-keys-only'],
  ['SSH that does not answer', () => (said.methods = ''), 'ssh-keys-only'],
])('fails for %s', async (_, spoil, id) => {
  spoil();
  expect(await failed()).toEqual([`from-outside/${id}`]);
});

it('fails for a port that is closed', async () => {
  expect(await failed(['http'])).toEqual(['from-outside/redirect']);
  expect(await failed(['https'])).toEqual(['from-outside/tls', 'from-outside/login-page']);
});
