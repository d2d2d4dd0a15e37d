import { describe, expect, it } from 'vitest';
import { mirrorsIn, mirrorsOf } from '../../../src/engine/archive.ts';
import {
  formatLock,
  type Lock,
  type LockedSet,
  lockAge,
  lockDifference,
  parseLock,
  sourceDateEpoch,
} from '../../../src/engine/lock.ts';
import { parseUri } from '../../../src/engine/resolve.ts';

const sha = 'a'.repeat(64);
const set: LockedSet = {
  requested: ['bash'],
  packages: [
    {
      name: 'bash',
      version: '1:5.2-3+b1',
      architecture: 'arm64',
      size: 12,
      sha256: sha,
      archive: 'debian',
      path: 'pool/main/b/bash/bash_5.2-3+b1_arm64.deb',
    },
  ],
};
const boxes = { build: set, boot: set };
const lock: Lock = {
  format: 1,
  baseLayer: [],
  made: '2026-01-02T00:00:00.000Z',
  indexes: [
    { archive: 'debian', suite: 'trixie', date: '2026-01-01T00:00:00.000Z', sha256: sha },
    { archive: 'security', suite: 'trixie-security', date: '2026-01-01T12:00:00.000Z', sha256: sha },
  ],
  image: set,
  toolboxes: { amd64: boxes, arm64: boxes },
};

describe('lock file', () => {
  it('reads back what it wrote', () => expect(parseLock(formatLock(lock), 'x')).toEqual(lock));
  it('names no host', () => expect(formatLock(lock)).not.toMatch(/https?:/));
  it('takes the newest index as the time of the build', () => {
    expect(sourceDateEpoch(lock)).toBe(Date.parse('2026-01-01T12:00:00Z') / 1000);
  });
  it('knows its age in days', () => expect(lockAge(lock, new Date('2026-01-12T00:00:00Z'))).toBe(10));
  it('tells which packages it was not made for', () => {
    const { missing, extra } = lockDifference(lock, { packages: ['nginx'], base: { kind: 'debian' } });
    expect(missing).toContain('nginx');
    expect(extra).toEqual(['bash']);
  });
  it.each([
    ['no mapping', '[]\n', /a mapping was expected/],
    ['another format', 'format: 2\n', /format 2 is not known/],
    ['no YAML', 'a: [\n', /cannot be used/],
    ['a line that is no package', formatLock(lock).replaceAll(' 12 ', ' twelve '), /not a package/],
    ['no base layer', 'format: 1\nmade: 2026-01-01\nindexes: []\n', /`baseLayer` is missing/],
    ['no toolbox', 'format: 1\nmade: 2026-01-01\nindexes: []\nbaseLayer: []\n', /a mapping was expected/],
  ])('refuses %s', (_what, text, message) => expect(() => parseLock(text, 'x.lock.yaml')).toThrow(message));
});

describe('mirrors', () => {
  it('puts the security archive beside the given one', () => {
    expect(mirrorsOf('http://m.test/debian/')).toEqual({
      debian: 'http://m.test/debian',
      security: 'http://m.test/debian-security',
    });
    expect(mirrorsOf('/srv/debian').debian).toBe('file:/srv/debian');
  });
  it('finds them in both forms of apt sources', () => {
    const text =
      'Types: deb\nURIs: http://a.test/debian/\n\ndeb [signed-by=/k] http://b.test/debian-security trixie main\n# deb http://c.test/debian x\n';
    expect(mirrorsIn(text)).toEqual(['http://a.test/debian', 'http://b.test/debian-security']);
  });
  it('takes name, epoch and path from what apt prints', () => {
    const mirrors = mirrorsOf('http://m.test/debian');
    const line = `'http://m.test/debian-security/pool/updates/l/lib%2b/lib%2b_1%253a2_arm64.deb' lib%2b_1%3a2_arm64.deb 5 SHA256:${sha}`;
    expect(parseUri(line, mirrors)).toMatchObject({
      name: 'lib+',
      version: '1:2',
      architecture: 'arm64',
      size: 5,
      archive: 'security',
    });
    expect(parseUri('index abc', mirrors)).toBeUndefined();
  });
});
