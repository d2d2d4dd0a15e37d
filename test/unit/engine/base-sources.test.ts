import { describe, expect, it } from 'vitest';
import { imageSources, withMirrors, withSecurityName } from '../../../src/engine/base/sources.ts';

const mirrors = { debian: 'http://mirror.example/debian', security: 'http://mirror.example/debian-security' };

const debian = `# A comment
Types: deb deb-src
URIs: http://deb.example/debian/
Suites: trixie trixie-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.pgp

Types: deb
URIs: http://deb.example/debian-security/
Suites: trixie-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.pgp
`;
const raspi = `Types: deb
URIs: http://archive.example/debian/
Suites: trixie
Components: main
Signed-By: /usr/share/keyrings/raspberrypi-archive-keyring.pgp
`;
const off = 'Types: deb\nEnabled: no\nURIs: http://off.example/\nSuites: trixie\n';
const embedded =
  'Types: deb\nURIs: file:///srv/more/\nSuites: trixie\nComponents: main\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n';

describe('sources of a base image', () => {
  it("takes Debian's from the mirror, and others from where they are, by the names of their files", () => {
    const files = new Map([
      ['debian.sources', debian],
      ['raspi.sources', raspi],
      ['off.sources', off],
      ['My Own.sources', embedded],
      ['old.list', '# nothing\ndeb [arch=arm64 signed-by=/k.gpg] https://old.example/apt trixie main extra\n'],
    ]);
    const found = imageSources(files, mirrors);
    expect(found.map(({ archive, url, suites }) => [archive, url, suites.join(' ')])).toEqual([
      ['my-own', 'file:/srv/more', 'trixie'],
      ['debian', mirrors.debian, 'trixie trixie-updates'],
      ['security', mirrors.security, 'trixie-security'],
      ['old', 'https://old.example/apt', 'trixie'],
      ['raspi', 'http://archive.example/debian', 'trixie'],
    ]);
    expect(found[0]?.signedBy).toContain('BEGIN PGP');
    expect(found.find(({ archive }) => archive === 'old')?.signedBy).toBe('/k.gpg');
  });

  it('gives two archives of one file two names, and one archive one', () => {
    const two = `${raspi}\n${raspi.replace('archive.example', 'other.example')}\n${raspi.replace('main', 'untested')}`;
    const names = imageSources(new Map([['raspi.sources', two]]), mirrors).map(({ archive }) => archive);
    expect(names).toEqual(['raspi', 'raspi-2', 'raspi']);
  });

  it("never calls an archive of others by the name of Debian's", () => {
    const [found] = imageSources(new Map([['debian.sources', raspi]]), mirrors);
    expect(found).toMatchObject({ archive: 'debian-2', url: 'http://archive.example/debian' });
  });

  it("writes a mirror in the place of Debian's only", () => {
    const changed = withMirrors(`${debian}\n${raspi}`, mirrors);
    expect(changed.match(/^URIs: .*$/gm)).toEqual([
      `URIs: ${mirrors.debian}`,
      `URIs: ${mirrors.security}`,
      'URIs: http://archive.example/debian/',
    ]);
  });

  it('names the security updates, once, and nothing else', () => {
    const named = withSecurityName(`${debian}\n${raspi}`);
    expect(named.replace('X-Repolib-Name: Debian security updates\n', '')).toBe(`${debian}\n${raspi}`);
    expect(named).toMatch(/^X-Repolib-Name: .*\nTypes: deb\nURIs: .*\nSuites: trixie-security$/m);
    expect(withSecurityName(named)).toBe(named);
    const own = debian.replace('Types: deb\nURIs: http://deb.example/debian-security', 'X-Repolib-Name: Mine\n$&');
    expect(withSecurityName(own)).toBe(own);
  });
});
