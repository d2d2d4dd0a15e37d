import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { accessFiles, writeAccess } from '../../../src/site/ssh-config.ts';
import type { Site } from '../../../src/site/validate.ts';

const KEYS = ['ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB571IXnrV6SKTObCJoKpJ2K/diC0pLnM8lJXCJn5Gbm', 'ssh-rsa AAAAB3Nza'];
const SITE: Site = {
  name: 'North gate',
  hostname: 'north',
  admins: [
    { name: 'alex', keys: [`${KEYS[0]} alex@desk`, `${KEYS[1]} alex@old`] },
    { name: 'sam-2', keys: [`${KEYS[1]} sam@desk`] },
  ],
  unlock: { method: 'card' },
};

let folder: string;
let base: string;
beforeEach(() => {
  // A path that is read rightly only when it is quoted.
  folder = mkdtempSync(join(tmpdir(), 'ssh-config-'));
  base = join(folder, 'card 50%d "x"', 'north.img');
  mkdirSync(join(folder, 'card 50%d "x"'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const write = (site: Site): Promise<string> => writeAccess(base, site, join(folder, 'keys'));

/** What ssh makes of the configuration. */
function read(config: string, target: string): string[] {
  return execFileSync('ssh', ['-G', '-F', config, target]).toString().trim().split('\n');
}
const identities = (lines: readonly string[]): string[] =>
  lines.flatMap((line) => (line.startsWith('identityfile ') ? [line.slice('identityfile '.length)] : []));

describe('the ssh_config beside a stamped image', () => {
  it('offers the keys of the administrator alone, at any address', async () => {
    const config = await write(SITE);
    expect(config).toBe(`${base}.ssh_config`);
    const lines = read(config, 'alex@192.0.2.77');
    for (const line of ['user alex', 'identitiesonly yes', 'hostname 192.0.2.77', 'hostkeyalias north']) {
      expect(lines).toContain(line);
    }
    // ssh prints the path as it is written; when it opens the file, `%%` is a percent sign.
    const shown = base.replaceAll('%', '%%');
    expect(identities(lines)).toEqual([`${shown}.alex.pub`, `${shown}.alex.2.pub`]);
    expect(readFileSync(`${base}.alex.2.pub`, 'utf8')).toBe(`${SITE.admins[0]?.keys[1]}\n`);
    expect(identities(read(config, 'sam-2@192.0.2.77'))).toEqual([`${shown}.sam-2.pub`]);
    expect(lines.some((line) => line.startsWith('stricthostkeychecking false'))).toBe(false);
  });

  it('is for the first administrator, and the address of the site, by the host name alone', async () => {
    const network = { wired: { address: '192.0.2.10/24' } };
    const lines = read(await write({ ...SITE, network }), 'north');
    expect(lines).toContain('hostname 192.0.2.10');
    expect(lines).toContain('user alex');
    expect(read(await write(SITE), 'north')).toContain('hostname north');
  });

  it('names the private key too where it lies on this machine', async () => {
    mkdirSync(join(folder, 'keys'));
    writeFileSync(join(folder, 'keys/gate.pub'), `${KEYS[0]} another comment\n`);
    writeFileSync(join(folder, 'keys/alone.pub'), `${KEYS[1]}\n`);
    expect(identities(read(await write(SITE), 'alex@x'))).not.toContain(join(folder, 'keys/gate'));
    writeFileSync(join(folder, 'keys/gate'), 'private');
    const found = identities(read(await write(SITE), 'alex@x'));
    expect(found[0]).toBe(join(folder, 'keys/gate'));
    expect(found).toHaveLength(3);
  });

  it('forgets the host key of an earlier card, and says which files it makes', async () => {
    writeFileSync(`${base}.known_hosts`, 'old');
    await write(SITE);
    const names = accessFiles(base, SITE).map((path) => path.slice(base.length));
    expect(names).toEqual(['.ssh_config', '.known_hosts', '.alex.pub', '.alex.2.pub', '.sam-2.pub']);
    expect(() => readFileSync(`${base}.known_hosts`)).toThrow();
  });
});
