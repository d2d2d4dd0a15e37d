import { execFileSync } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseAddress } from '../../../src/site/device-ssh.ts';
import { enroll, sshConfig } from '../../../src/site/enroll.ts';
import { canonicalJson, fingerprint, readReport } from '../../../src/site/report.ts';

const folder = mkdtempSync(join(tmpdir(), 'enroll-'));
afterAll(() => rmSync(folder, { recursive: true }));

const REPORT = {
  ssh_host_key: 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB571IXnrV6SKTObCJoKpJ2K/diC0pLnM8lJXCJn5Gbm device',
  name: 'Zufahrt Süd (前门) 😀 \u007f "x" \\ \u2028',
  hostname: 'south',
  bundle: { sha256: 'ab', generation: 1 },
  nothing: null,
  list: [1, true, { b: 2, a: 1 }],
};

describe('the report', () => {
  it('has the spelling that the device takes its HMAC over', () => {
    const program = 'import json,sys; print(json.dumps(json.load(sys.stdin), sort_keys=True, separators=(",", ":")))';
    const python = execFileSync('/usr/bin/python3', ['-c', program], { input: JSON.stringify(REPORT) });
    expect(`${canonicalJson(REPORT)}\n`).toBe(python.toString());
  });

  it('is genuine with the token alone, and unchanged', () => {
    const hmac = createHmac('sha256', 'token').update(canonicalJson(REPORT)).digest('hex');
    const text = (report: object) => JSON.stringify({ report, hmac_sha256: hmac });
    expect(readReport(text(REPORT), 'token').genuine).toBe(true);
    expect(readReport(text(REPORT), 'another').genuine).toBe(false);
    expect(readReport(text(REPORT)).genuine).toBe(false);
    expect(readReport(text({ ...REPORT, hostname: 'north' }), 'token').genuine).toBe(false);
    expect(readReport(JSON.stringify({ report: REPORT }), 'token').genuine).toBe(false);
    expect(() => readReport('not made yet', 'token')).toThrow('no report');
  });

  it('names a key by the fingerprint of ssh-keygen', () => {
    const file = join(folder, 'key.pub');
    writeFileSync(file, REPORT.ssh_host_key);
    expect(execFileSync('ssh-keygen', ['-lf', file]).toString()).toContain(fingerprint(REPORT.ssh_host_key));
  });
});

describe('enroll', () => {
  const key = join(folder, 'id');
  beforeAll(() => writeFileSync(key, ''));
  const options = { identity: key, output: join(folder, 'out') };

  it('wants a token or a fingerprint, a user, and files that are there', async () => {
    await expect(enroll('alex@192.0.2.1', options)).rejects.toThrow(/Either --enrolment or --fingerprint/);
    await expect(enroll('192.0.2.1', { ...options, fingerprint: 'SHA256:x' })).rejects.toThrow(/is not USER@HOST/);
    const missing = { ...options, enrolment: join(folder, 'none.enrol.json') };
    await expect(enroll('alex@192.0.2.1', missing)).rejects.toThrow(/--enrolment .* no such file/);
    const used = join(folder, 'used.enrol.json');
    writeFileSync(used, JSON.stringify({ name: 'x', enrolled: 'SHA256:abc' }));
    await expect(enroll('alex@192.0.2.1', { ...options, enrolment: used })).rejects.toThrow(/was used already/);
  });

  it.each(['-oProxyCommand=x@y', 'alex@-x', 'alex@a b', 'alex@a;b', 'a@b@c', '@host', 'alex@'])(
    'refuses %s',
    (text) => {
      expect(() => parseAddress(text)).toThrow(/is not USER@HOST/);
    },
  );

  it('writes a configuration that ssh reads, with one key and the pinned host key', () => {
    const at = { user: 'alex', host: '192.0.2.7', port: 2222, identity: key, knownHosts: '', alias: '' };
    const file = join(folder, 'ssh_config');
    writeFileSync(file, sshConfig(folder, at, 'south'));
    const read = execFileSync('ssh', ['-G', '-F', file, 'south']).toString();
    const lines = ['hostname 192.0.2.7', 'port 2222', 'user alex', 'identitiesonly yes', 'stricthostkeychecking true'];
    for (const line of [...lines, `identityfile ${key}`, `userknownhostsfile ${join(folder, 'known_hosts')}`]) {
      expect(read.split('\n')).toContain(line);
    }
    expect(readFileSync(file, 'utf8')).toContain('HostKeyAlias south');
  });
});
