import { pbkdf2Sync } from 'node:crypto';
import { expect, test } from 'vitest';
import { accountFault } from '../../power-cut/valid.ts';

const salt = '00112233445566778899aabbccddeeff';
const account = {
  password_hash: pbkdf2Sync('abcd-efgh', salt, 100_000, 32, 'sha256').toString('hex'),
  ...{ salt, role: 'admin' },
};
const users = (admin: object): string => JSON.stringify({ users: { admin }, roles: {} }, undefined, 2);

test("the application's account has the password of the bundle", () => {
  expect(accountFault(users(account), 'abcd-efgh')).toBe('');
  expect(accountFault(users(account), 'abcd-efgi')).toContain('is another');
  expect(accountFault(users({ ...account, password_hash: salt.repeat(2) }), 'abcd-efgh')).toContain('is another');
});

test('half a file of accounts is none', () => {
  const text = users(account);
  const half = text.slice(0, text.indexOf('password_hash') + 40);
  expect(half).toContain('password_hash');
  for (const torn of [half, '']) expect(accountFault(torn, 'abcd-efgh')).toContain('cannot be read');
});

test.each(['null', '[]', '{"users": {}}', '{"users": {"admin": {"password_hash": "password_hash"}}}'])(
  'a file without an account is told: %s',
  (text) => {
    expect(accountFault(text, 'abcd-efgh')).toBe('the application has no account admin');
  },
);
