import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { hostRunner } from '../../../src/host/runner.ts';
import { certificateFault } from '../../power-cut/valid.ts';

// What is said of a device's certificate, on those that openssl makes.

const DAY = 86_400_000;
let folder: string;
let key: string;
let other: string;
let pem: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'amslpr-certificate-'));
  const [one, two, out] = ['one.pem', 'two.pem', 'cert.pem'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  const make = ['openssl', 'genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out'];
  for (const path of [one, two]) await hostRunner.run([...make, path]);
  await hostRunner.run(['openssl', 'req', '-x509', '-key', one, '-subj', '/CN=drive', '-days', '30', '-out', out]);
  [key, other, pem] = (await Promise.all([one, two, out].map((path) => readFile(path, 'utf8')))) as [
    string,
    string,
    string,
  ];
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test('a certificate of the key that is good now is good', () => {
  expect(certificateFault(pem, key, 30)).toBe('');
  // Of a file that debugfs gave, the last line end is gone.
  expect(certificateFault(pem.trim(), key, 30)).toBe('');
});

test('a certificate that is cut off is none, wherever its beginning still stands', () => {
  for (const length of [0, 40, pem.length / 2, pem.length - 30]) {
    expect(certificateFault(pem.slice(0, length), key, 30), String(length)).toBe('the certificate cannot be read');
  }
});

test('a certificate of another key is told', () => {
  expect(certificateFault(pem, other, 30)).toBe('the certificate is of another key');
});

test('a certificate of another time is told; two months too long are the clock of a board', () => {
  for (const days of [-1, 31])
    expect(certificateFault(pem, key, 30, Date.now() + days * DAY)).toContain('is good from');
  expect(certificateFault(pem, key, 1)).toBe('');
  expect(certificateFault(pem, key, -40)).toContain('is good from');
});
