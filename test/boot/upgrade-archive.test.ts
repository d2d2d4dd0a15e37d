import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { hostRunner } from '../../src/host/runner.ts';
import {
  type ArchiveKey,
  endArchiveKey,
  makeArchiveKey,
  serveArchives,
  sourceFor,
  writeArchive,
} from '../helpers/archive.ts';
import { type Deb, readDeb, writeDeb } from '../helpers/archive-deb.ts';
import { exactRelations, newerDeb, newerKernel, newerKernelMeta, nextRelease } from '../helpers/archive-newer.ts';
import { scratch } from '../image/small-image.ts';

const entry = (path: string, text: string, mode = 0o644, gname = 'root') => ({
  header: { name: `.${path}`, type: 'file' as const, mode, uid: 0, gid: 0, uname: 'root', gname },
  bytes: Buffer.from(text),
});

function sample(): Deb {
  const fields = {
    Package: 'sample',
    Version: '1.0-1',
    Architecture: 'arm64',
    Maintainer: 'Nobody <nobody@example.org>',
    Depends: 'libsample (= 1.0-1), other (= 1.0-1), libc6 (>= 2.41)',
    Description: 'a package for a test\n Of two lines.',
  };
  return {
    control: new Map(Object.entries(fields)),
    scripts: [entry('/conffiles', '/etc/sample.conf\n'), entry('/postinst', '#!/bin/sh\nexit 0\n', 0o755)],
    data: [entry('/etc/sample.conf', 'colour = red\n'), entry('/usr/bin/sample', 'program', 0o2755, '_sample')],
    conffiles: ['/etc/sample.conf'],
  };
}

/** An apt of this host that knows nothing but one source. */
async function aptUpdate(folder: string, source: string) {
  const root = join(folder, 'apt');
  for (const path of ['etc/apt/sources.list.d', 'etc/apt/trusted.gpg.d', 'var/lib/apt/lists/partial', 'var/lib/dpkg']) {
    await mkdir(join(root, path), { recursive: true });
  }
  await mkdir(join(root, 'var/cache/apt/archives/partial'), { recursive: true });
  await writeFile(join(root, 'var/lib/dpkg/status'), '');
  await writeFile(join(root, 'etc/apt/sources.list.d/test.sources'), source);
  // Named by the environment, so that nothing of this host's own configuration counts.
  const settings = [
    `Dir "${root}";`,
    `Dir::State::status "${root}/var/lib/dpkg/status";`,
    'APT::Architecture "arm64"; APT::Architectures { "arm64"; };',
    'APT::Sandbox::User "root"; Acquire::http::Proxy "DIRECT";',
  ];
  await writeFile(join(root, 'apt.conf'), `${settings.join('\n')}\n`);
  const env = { APT_CONFIG: join(root, 'apt.conf') };
  const update = await hostRunner.run(['apt-get', 'update', '--error-on=any'], { env, okCodes: [0, 100] });
  const policy = await hostRunner.run(['apt-cache', 'policy', 'sample'], { env });
  return { code: update.code, said: `${update.stdout}${update.stderr}`, policy: policy.stdout };
}

async function archives(): Promise<{ folder: string; key: ArchiveKey }> {
  const place = await scratch();
  const folder = place.path;
  const home = join(folder, 'gpg');
  onTestFinished(async () => {
    await endArchiveKey(home);
    await place[Symbol.asyncDispose]();
  });
  await mkdir(join(folder, 'pool'));
  await writeDeb(newerDeb(sample(), new Map()), join(folder, 'pool', 'sample.deb'));
  return { folder, key: await makeArchiveKey(home) };
}

test('apt takes what the archive signs, from Debian-Security', async () => {
  const { folder, key } = await archives();
  await writeArchive(join(folder, 'good'), { key });
  await using server = await serveArchives(folder);
  const found = await aptUpdate(folder, sourceFor(`http://127.0.0.1:${server.port}/good`, key.publicKey));
  expect(found.code, found.said).toBe(0);
  expect(found.policy).toContain('Candidate: 1.0-1+test1');
});

test('apt refuses an unsigned archive, an expired one and one of another key', async () => {
  const { folder, key } = await archives();
  const home = join(folder, 'other');
  onTestFinished(() => endArchiveKey(home));
  await writeArchive(join(folder, 'unsigned'));
  await writeArchive(join(folder, 'expired'), { key, validUntil: new Date(Date.now() - 86_400_000) });
  await writeArchive(join(folder, 'stranger'), { key: await makeArchiveKey(home) });
  await using server = await serveArchives(folder);
  for (const [name, reason] of [
    ['unsigned', /is not signed/],
    ['expired', /expired|not valid/i],
    ['stranger', /NO_PUBKEY|not signed|signature/i],
  ] as const) {
    const found = await aptUpdate(
      join(folder, `for-${name}`),
      sourceFor(`http://127.0.0.1:${server.port}/${name}`, key.publicKey),
    );
    expect(found.code, name).toBe(100);
    expect(found.said).toMatch(reason);
    expect(found.policy, name).not.toContain('+test1');
  }
});

test('a newer package is one that dpkg reads, with changed configuration and owners kept', async () => {
  const { path: folder, ...place } = await scratch();
  onTestFinished(place[Symbol.asyncDispose]);
  const file = join(folder, 'newer.deb');
  await writeDeb(
    newerDeb(
      sample(),
      new Map([
        ['libsample', '1.0-1'],
        ['other', '0.9'],
      ]),
    ),
    file,
  );
  const field = async (name: string) => (await hostRunner.run(['dpkg-deb', '-f', file, name])).stdout.trim();
  expect(await field('Version')).toBe('1.0-1+test1');
  expect(await field('Depends')).toBe('libsample (= 1.0-1+test1), other (= 1.0-1), libc6 (>= 2.41)');
  const { stdout: listing } = await hostRunner.run(['dpkg-deb', '-c', file]);
  expect(listing).toMatch(/^-rwxr-sr-x root\/_sample .* \.\/usr\/bin\/sample$/m);
  await hostRunner.run(['dpkg-deb', '-R', file, join(folder, 'out')]);
  expect(await readFile(join(folder, 'out/etc/sample.conf'), 'utf8')).toMatch(/^colour = red\n# .*\n$/);
  const sum = createHash('md5').update('program').digest('hex');
  expect(await readFile(join(folder, 'out/DEBIAN/md5sums'), 'utf8')).toBe(`${sum}  usr/bin/sample\n`);
  const again = await readDeb(file);
  expect(again.conffiles).toEqual(['/etc/sample.conf']);
  expect(again.data.map(({ header }) => header.name)).toEqual(['./etc/sample.conf', './usr/bin/sample']);
});

test('relations to one version are found', () => {
  expect(exactRelations('systemd (= 257.9-1), libc6 (>= 2.41), udev:any (= 257.9-1)')).toEqual([
    { name: 'systemd', version: '257.9-1' },
    { name: 'udev', version: '257.9-1' },
  ]);
});

test('the next release of a kernel is as long as the last', () => {
  expect(nextRelease('6.12.118+deb13-arm64')).toBe('6.12.119+deb13-arm64');
  expect(nextRelease('6.12.99+deb13-arm64')).toBe('6.12.99+deb14-arm64');
});

test('a newer kernel says so itself, has its own paths, and its meta package asks for it', () => {
  const release = '6.12.118+deb13-arm64';
  const image: Deb = {
    control: new Map([
      ['Package', `linux-image-${release}`],
      ['Version', '6.12.118-1'],
    ]),
    scripts: [entry('/postinst', `version=${release}\n`, 0o755)],
    data: [
      entry(`/boot/vmlinuz-${release}`, `\0Linux version ${release} (x)\0${release} SMP\0`),
      entry(`/usr/lib/modules/${release}/kernel/fs/fat/fat.ko.xz`, 'x'),
      entry(`/usr/lib/modules/${release}/kernel/drivers/gpu/x.ko.xz`, 'x'),
      entry(`/usr/lib/linux-image-${release}/broadcom/a.dtb`, 'x'),
      entry(`/usr/lib/linux-image-${release}/rockchip/a.dtb`, 'x'),
    ],
    conffiles: [],
  };
  const newer = newerKernel(image, release);
  const next = '6.12.119+deb13-arm64';
  expect([...newer.control.values()]).toEqual([`linux-image-${next}`, '6.12.119-1']);
  expect(newer.scripts[0]?.bytes.toString()).toBe(`version=${next}\n`);
  expect(newer.data[0]?.bytes.toString()).toBe(`\0Linux version ${next} (x)\0${next} SMP\0`);
  expect(newer.data.map(({ header }) => header.name)).toEqual([
    `./boot/vmlinuz-${next}`,
    `./usr/lib/modules/${next}/kernel/fs/fat/fat.ko.xz`,
    `./usr/lib/linux-image-${next}/broadcom/a.dtb`,
  ]);
  const meta = newerKernelMeta(
    {
      control: new Map([
        ['Package', 'linux-image-arm64'],
        ['Version', '6.12.118-1'],
        ['Depends', `linux-image-${release} (= 6.12.118-1)`],
      ]),
      scripts: [],
      data: [],
      conffiles: [],
    },
    release,
  );
  expect(meta.control.get('Version')).toBe('6.12.119-1');
  expect(meta.control.get('Depends')).toBe(`linux-image-${next} (= 6.12.119-1)`);
});
