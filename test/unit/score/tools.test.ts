import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

it('the scanners are in no list of the image', () => {
  const lock = readFileSync('config/amslpr.lock.yaml', 'utf8');
  const image = lock.slice(0, lock.indexOf('toolboxes:'));
  expect(image).not.toMatch(/^\s*- (lynis|nmap|openscap-scanner|ssh-audit|sslscan|testssl\.sh) /m);
  expect(image).toMatch(/^\s*- openssh-server /m);
});
