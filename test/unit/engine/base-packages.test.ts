import { describe, expect, it } from 'vitest';
import { installedIn } from '../../../src/engine/base/resolve.ts';
import { formatLock, type Lock, parseLock } from '../../../src/engine/lock.ts';
import { wantedOnBase } from '../../../src/engine/steps/base-packages.ts';

const stanza = (name: string, version: string, architecture = 'arm64', status = 'install ok installed'): string =>
  `Package: ${name}\nStatus: ${status}\nArchitecture: ${architecture}\nVersion: ${version}\n`;

const set = { requested: [], packages: [] };
const lock: Lock = {
  format: 1,
  baseLayer: [],
  made: '2026-11-01T00:00:00.000Z',
  indexes: [{ archive: 'raspi', suite: 'trixie', date: '2026-10-31T00:00:00.000Z', sha256: 'b'.repeat(64) }],
  base: {
    sha256: 'a'.repeat(64),
    archives: { raspi: 'http://archive.example/debian' },
    origins: ['origin=Raspberry Pi Foundation,label=Raspberry Pi Foundation,codename=trixie'],
    installed: ['bash 5.2-1 arm64', 'gcc 14 arm64', 'libc6 2.41 arm64', 'libc6 2.41 armhf', 'sed 4.9 arm64'],
    removed: ['gcc', 'libc6:armhf'],
  },
  image: {
    requested: ['ufw'],
    packages: [
      {
        ...{ name: 'bash', version: '5.2-2', architecture: 'arm64', size: 1, sha256: 'c'.repeat(64) },
        ...{ archive: 'raspi', path: 'pool/bash.deb' },
      },
      {
        ...{ name: 'ufw', version: '0.36', architecture: 'all', size: 1, sha256: 'd'.repeat(64) },
        ...{ archive: 'debian', path: 'pool/ufw.deb' },
      },
    ],
  },
  toolboxes: { amd64: { build: set, boot: set }, arm64: { build: set, boot: set } },
};

describe('packages on a base image', () => {
  it('are those that it has installed, and no others', () => {
    const status = [
      stanza('bash', '5.2-1'),
      stanza('old', '1', 'arm64', 'deinstall ok config-files'),
      stanza('libc6', '2.41', 'armhf'),
    ].join('\n');
    expect(installedIn(status)).toEqual(['bash 5.2-1 arm64', 'libc6 2.41 armhf']);
  });

  it('end as what was there, less what is removed or for another CPU, with what the lock brings', () => {
    const { base } = lock;
    if (base === undefined) throw new Error('no base');
    expect(wantedOnBase(lock, base).map(({ name, version }) => `${name} ${version}`)).toEqual([
      'libc6 2.41',
      'sed 4.9',
      'bash 5.2-2',
      'ufw 0.36',
    ]);
  });

  it('are locked with the base they belong to', () => {
    expect(parseLock(formatLock(lock), 'a.lock.yaml')).toEqual(lock);
    const cut = formatLock(lock).replace(/^ {2}installed:\n(?: {4}- .*\n)*/m, '');
    expect(() => parseLock(cut, 'a.lock.yaml')).toThrow('`base` is not complete');
  });
});
