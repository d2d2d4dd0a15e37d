import { expect, it } from 'vitest';
import { sshFindings } from '../../../src/score/measures/ssh.ts';

it('ssh-audit: failures, warnings, and a server that offers nothing', () => {
  const json = JSON.stringify({
    kex: [{ algorithm: 'mlkem768x25519-sha256', notes: {} }],
    key: [{ algorithm: 'ssh-rsa', notes: { fail: ['weak'], warn: ['old'] } }],
    enc: [{ algorithm: 'aes256-gcm@openssh.com' }],
    mac: [],
  });
  expect(sshFindings(json, 'fail')).toEqual(['key ssh-rsa: weak', 'mac: the server offers none']);
  expect(sshFindings(json, 'warn')).toContain('key ssh-rsa: old');
});
