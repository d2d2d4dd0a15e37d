import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { silent } from '../../src/core/log.ts';
import { COMPONENTS, SUITES } from '../../src/engine/archive.ts';
import { makeLock } from '../../src/engine/resolve.ts';
import { openCache } from '../../src/host/cache.ts';
import { type Namespace, openNamespace } from '../../src/host/namespace.ts';
import { hostRunner } from '../../src/host/runner.ts';
import { sha256 } from '../../src/plan/digest.ts';
import { type ArchiveKey, endArchiveKey, makeArchiveKey, serveArchives } from '../helpers/archive.ts';

// A whole archive in small: every suite that a lock is made from, with one essential package for each architecture.
const DAY = 86_400_000;
let folder: string;
let key: ArchiveKey;
let keyring: string;
let namespace: Namespace;

/** Writes `<name>` and `<name>-security` below the folder. `signed` is false for a Release without a signature. */
async function writeArchives(name: string, options: { signed: boolean; validUntil: Date }): Promise<void> {
  for (const { archive, suite } of SUITES) {
    const root = join(folder, archive === 'debian' ? name : `${name}-security`);
    const sums: string[] = [];
    for (const component of COMPONENTS) {
      for (const architecture of ['amd64', 'arm64']) {
        const text = component === 'main' && suite === 'trixie' ? paragraph(architecture) : '';
        const path = `${component}/binary-${architecture}/Packages`;
        await mkdir(join(root, 'dists', suite, path, '..'), { recursive: true });
        await writeFile(join(root, 'dists', suite, path), text);
        sums.push(` ${sha256(text)} ${text.length} ${path}`);
      }
    }
    const { validUntil } = options;
    const release = [
      `Suite: ${suite}`,
      `Codename: ${suite}`,
      `Date: ${new Date(Math.min(Date.now(), validUntil.getTime()) - DAY).toUTCString()}`,
      `Valid-Until: ${validUntil.toUTCString()}`,
      'Architectures: amd64 arm64',
      `Components: ${COMPONENTS.join(' ')}`,
      'SHA256:',
      ...sums,
    ];
    const text = `${release.join('\n')}\n`;
    if (options.signed) await writeFile(join(root, 'dists', suite, 'InRelease'), await key.clearsign(text));
    else await writeFile(join(root, 'dists', suite, 'Release'), text);
  }
}

const paragraph = (architecture: string): string =>
  `Package: tiny\nVersion: 1:2+b1\nArchitecture: ${architecture}\nEssential: yes\nFilename: pool/t/tiny_2+b1_${architecture}.deb\nSize: 3\nSHA256: ${'a'.repeat(64)}\nDescription: one\n`;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'arc-'));
  await hostRunner.run(['chmod', '755', folder]);
  key = await makeArchiveKey(join(folder, 'k'));
  keyring = join(folder, 'keyring.asc');
  await writeFile(keyring, key.publicKey);
  namespace = await openNamespace(await openCache());
});
afterAll(async () => {
  await endArchiveKey(join(folder, 'k'));
  await rm(folder, { recursive: true, force: true });
});

const lockFrom = (mirror: string, packages = ['tiny'], trusted = keyring) =>
  makeLock(namespace, { packages, toolboxes: { build: ['tiny'], boot: ['tiny'] }, mirror, keyring: trusted }, silent);
const week = (): Date => new Date(Date.now() + 7 * DAY);

describe('a lock is made from', () => {
  it('a signed archive on the loopback interface', async () => {
    await writeArchives('good', { signed: true, validUntil: week() });
    await using server = await serveArchives(folder);
    const lock = await lockFrom(`http://127.0.0.1:${server.port}/good`);
    expect(lock.image.packages).toEqual([
      {
        name: 'tiny',
        version: '1:2+b1',
        architecture: 'arm64',
        size: 3,
        sha256: 'a'.repeat(64),
        archive: 'debian',
        path: 'pool/t/tiny_2+b1_arm64.deb',
      },
    ]);
    const index = await readFile(join(folder, 'good/dists/trixie/InRelease'));
    expect(lock.indexes.find(({ suite }) => suite === 'trixie')?.sha256).toBe(sha256(index));
  });
  it('a signed archive in a folder', async () => {
    await writeArchives('local', { signed: true, validUntil: week() });
    const lock = await lockFrom(join(folder, 'local'));
    expect(lock.toolboxes.amd64.boot.packages.map(({ architecture }) => architecture)).toEqual(['amd64']);
  });
});

it.each(['/tmp/a', '/root/a', '/srv/a/b', '/no-such-folder-yet/a'])('a folder is seen at %s', async (target) => {
  const { stdout } = await namespace.run(['cat', join(target, 'keyring.asc')], {
    root: { kind: 'host' },
    mounts: [{ kind: 'bind', source: folder, target }],
  });
  expect(stdout).toBe(key.publicKey);
});

it('programs have a folder for temporary files, whatever the caller has', async () => {
  process.env['TMPDIR'] = '/no-such-folder';
  try {
    await namespace.run(['mktemp'], { root: { kind: 'host' } });
  } finally {
    delete process.env['TMPDIR'];
  }
});

describe('no lock is made from', () => {
  it('an unsigned index', async () => {
    await writeArchives('unsigned', { signed: false, validUntil: week() });
    await expect(lockFrom(join(folder, 'unsigned'))).rejects.toThrow(/index is not signed by a key that is trusted/);
  });
  it('an index that another key signed', async () => {
    await writeArchives('other', { signed: true, validUntil: week() });
    const debian = '/usr/share/keyrings/debian-archive-keyring.gpg';
    await expect(lockFrom(join(folder, 'other'), ['tiny'], debian)).rejects.toThrow(
      /not signed by a key that is trusted/,
    );
  });
  it('an index that was changed after it was signed', async () => {
    await writeArchives('changed', { signed: true, validUntil: week() });
    const file = join(folder, 'changed/dists/trixie/InRelease');
    await writeFile(file, (await readFile(file, 'utf8')).replace('Suite: trixie', 'Suite: trixia'));
    await expect(lockFrom(join(folder, 'changed'))).rejects.toThrow(/not signed by a key that is trusted/);
  });
  it('an index that has expired', async () => {
    await writeArchives('old', { signed: true, validUntil: new Date(Date.now() - DAY) });
    await expect(lockFrom(join(folder, 'old'))).rejects.toThrow(/index has expired/);
  });
  it('an archive without the package', async () => {
    await expect(lockFrom(join(folder, 'local'), ['tyni'])).rejects.toThrow(/no such package[\s\S]*tyni/);
  });
});
