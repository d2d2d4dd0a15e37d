import { open, readdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readImage } from '../../src/audit/image.ts';
import { auditExitCode, auditImage, textReport } from '../../src/audit/report.ts';
import type { PlannedCheck } from '../../src/core/check.ts';
import { UserError } from '../../src/core/errors.ts';
import { silent } from '../../src/core/log.ts';
import { hostRunner } from '../../src/host/runner.ts';
import { copySparse, debugfs, makeImage, SMALL, scratch, writeTree } from './small-image.ts';

const checks: readonly PlannedCheck[] = [
  {
    kind: 'package',
    package: 'ufw',
    is: 'installed',
    id: 'firewall/installed',
    stage: 'firewall',
    title: 'ufw is there',
  },
  {
    kind: 'file',
    path: '/etc/ssh/sshd_config.d/00-amslpr.conf',
    id: 'sshd/policy',
    stage: 'sshd',
    title: 'Our policy',
  },
  { kind: 'unit', unit: 'ufw.service', is: 'enabled', id: 'firewall/starts', stage: 'firewall', title: 'It starts' },
  { kind: 'scan', scan: 'cmdline', id: 'boot-files/cmdline', stage: 'boot-files', title: 'No resize' },
  { kind: 'scan', scan: 'leftovers', id: 'base-system/leftovers', stage: 'base-system', title: 'Nothing left' },
  { kind: 'scan', scan: 'foreign-elf', id: 'base-system/cpu', stage: 'base-system', title: 'For this CPU' },
  { kind: 'absent', path: '/usr/bin/gcc', id: 'base-system/no-compiler', stage: 'base-system', title: 'No compiler' },
];

let folder: Awaited<ReturnType<typeof scratch>>;
let image: string;

// A card as Raspberry Pi OS lays it out: nothing of ours, first boot still to come.
beforeAll(async () => {
  folder = await scratch();
  const [boot, root] = [join(folder.path, 'boot'), join(folder.path, 'root')];
  await writeTree(boot, {
    'cmdline.txt': 'console=tty1 root=PARTUUID=cafe1234-02 rootfstype=ext4 rootwait resize\n',
    'config.txt': '[all]\narm_64bit=1\n',
    'overlays/a rather long name.dtbo': 'x',
  });
  await writeTree(root, {
    'etc/passwd': 'root:x:0:0:root:/root:/bin/bash\n',
    'etc/group': 'root:x:0:\n',
    'etc/shadow': 'root:*:20000:0:99999:7:::\n',
    'etc/machine-id': '',
    'etc/rpi-issue': 'Raspberry Pi reference 2026-01-01\n',
    'var/lib/dpkg/status': 'Package: base-files\nStatus: install ok installed\nArchitecture: arm64\nVersion: 13\n',
    'boot/firmware': undefined,
    'usr/bin/gcc': 'x',
  });
  image = join(folder.path, 'stock.img');
  await makeImage(image, { boot, root });
});
afterAll(() => folder[Symbol.asyncDispose]());

describe('an image that is not ours', () => {
  it('fails with reasons', async () => {
    const report = await auditImage(image, checks, silent);
    expect(auditExitCode(report)).toBe(3);
    const outcomes = Object.fromEntries(
      report.results.map(({ id, outcome, evidence }) => [id, `${outcome}: ${evidence}`]),
    );
    expect(outcomes).toMatchObject({
      'firewall/installed': 'fail: not among the 1 installed packages',
      'sshd/policy': 'fail: /etc/ssh/sshd_config.d/00-amslpr.conf is not there',
      'firewall/starts': 'fail: missing: there is no unit file of that name',
      'boot-files/cmdline': expect.stringMatching(/^fail: .*has resize/),
      'base-system/leftovers': expect.stringMatching(/^fail: .*machine-id holds nothing/),
      'base-system/cpu': expect.stringMatching(/^pass/),
      'base-system/no-compiler': 'fail: there is /usr/bin/gcc (file)',
    });
    expect(textReport(report)).toMatch(/7 checks: 1 passed, 6 failed\n$/);
  });

  it('is only read', async () => {
    const before = await readFile(image);
    await auditImage(image, checks, silent);
    expect((await readFile(image)).equals(before)).toBe(true);
  });

  it.each(['zst', 'xz'])('can be compressed: .%s', async (extension) => {
    const program = extension === 'xz' ? ['xz', '-k', '-0', '-f', image] : ['zstd', '-q', '-f', image];
    await hostRunner.run(program);
    const tree = await readImage(`${image}.${extension}`);
    expect(tree.text('/boot/firmware/config.txt')).toBe('[all]\narm_64bit=1\n');
    expect(tree.get('/boot/firmware/overlays/a rather long name.dtbo')?.size).toBe(1);
  });
});

it('an interrupt leaves no temporary file', async () => {
  const temporary = join(folder.path, 'tmp');
  await writeTree(folder.path, { tmp: undefined });
  await hostRunner.run(['zstd', '-q', '-f', image]);
  const before = process.env['TMPDIR'];
  process.env['TMPDIR'] = temporary;
  try {
    await expect(readImage(`${image}.zst`, { signal: AbortSignal.abort() })).rejects.toThrow(/interrupted/);
    const soon = AbortSignal.timeout(20);
    await readImage(`${image}.zst`, { signal: soon }).catch((error: unknown) =>
      expect(String(error)).toMatch(/interrupted/),
    );
    expect(await readdir(temporary)).toEqual([]);
  } finally {
    if (before === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = before;
  }
});

describe('what is no such image', () => {
  const refuse = async (name: string, change: (path: string) => Promise<unknown>): Promise<string> => {
    const path = join(folder.path, name);
    await copySparse(image, path);
    await change(path);
    const error = await readImage(path).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(UserError);
    expect(String(error)).not.toMatch(/at .*\.ts:/);
    return error instanceof UserError ? error.message : '';
  };
  const poke = async (path: string, at: number, bytes: readonly number[]): Promise<void> => {
    const file = await open(path, 'r+');
    await file.write(Uint8Array.from(bytes), 0, bytes.length, at);
    await file.close();
  };

  it.each<[string, (path: string) => Promise<unknown>, RegExp]>([
    ['empty.img', (path) => writeFile(path, ''), /only 0 bytes/],
    ['text.img', (path) => writeFile(path, 'x'.repeat(5000)), /no partition table/],
    ['gpt.img', (path) => hostRunner.run(['sfdisk', '-q', path], { input: 'label: gpt\n,,\n' }), /GPT/],
    ['short.img', (path) => truncate(path, SMALL.rootStart * 512 + 4096), /partition 2 ends at byte/],
    ['no-boot.img', (path) => poke(path, 446 + 4, [0x83]), /no FAT partition/],
    ['no-root.img', (path) => poke(path, 446 + 16 + 4, [0x82]), /no Linux partition/],
    ['no-fat.img', (path) => poke(path, SMALL.bootStart * 512 + 510, [0, 0]), /can't be read as FAT/],
    [
      'no-ext4.img',
      (path) => poke(path, SMALL.rootStart * 512 + 1024 + 56, [0, 0]),
      /can't be read as ext4: .*no readable ext4/,
    ],
    ['no-tree.img', (path) => debugfs(path, ['clri <2>'], SMALL.rootStart * 512), /can't be read as ext4/],
    ['bad.img.zst', (path) => writeFile(path, 'not zstd'), /zstd/],
  ])('%s', async (name, change, reason) => {
    expect(await refuse(name, change)).toMatch(reason);
  });

  it('a file that is not there, and a folder', async () => {
    await expect(readImage(join(folder.path, 'none.img'))).rejects.toThrow(/There is no such file/);
    await expect(readImage(folder.path)).rejects.toThrow(UserError);
  });
});
