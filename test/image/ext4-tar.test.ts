import { randomBytes } from 'node:crypto';
import { link, mkdir, readFile, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readTar } from '../../src/audit/ext4.ts';
import { hostTools } from '../../src/audit/tools.ts';
import type { TreeNode } from '../../src/audit/tree.ts';
import { hostRunner } from '../../src/host/runner.ts';
import { runStream } from '../../src/host/stream.ts';
import { makeExt4, scratch, writeTree } from './small-image.ts';

const source = fileURLToPath(new URL('../../native/ext4-tar.c', import.meta.url));
const random = randomBytes(700_000);
const longName = 'n'.repeat(120);
const longTarget = 'x/'.repeat(100);

let folder: Awaited<ReturnType<typeof scratch>>;
let program: string;
let checked: string;
let root: string;
/** Files with attributes' bytes. */
let value: string;
let acl: string;
/** user::rwx, user:1000:r-x, group::r-x, mask::r-x, other::r-x as getxattr(2) gives it. */
const aclBytes = Buffer.from(
  '0200000001000700ffffffff02000500e803000004000500ffffffff10000500ffffffff20000500ffffffff',
  'hex',
);

/** Owners, modes, devices and attributes that a file of an ordinary user can't have. */
const commands = [
  'sif /bin/tool mode 0104755',
  'sif /etc/hard uid 100000',
  'sif /etc/hard gid 3000000',
  'sif /etc/hard mtime @1609459200',
  'sif /etc/hard mtime_extra 0x1d6f3454',
  'sif /sticky mode 041777',
  'mknod null c 1 3',
  'mknod disk b 259 300',
  'mknod fifo p',
  'ea_set /bin/tool user.plain value',
];

async function tar(image: string, ...more: string[]): Promise<Buffer> {
  const size = (await readFile(image)).length;
  return (await runStream([program, image, '0', String(size), ...more], all)).value;
}
async function all(stdout: Readable): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of stdout as AsyncIterable<Buffer>) parts.push(part);
  return Buffer.concat(parts);
}
const nodesOf = async (archive: Buffer): Promise<Map<string, TreeNode>> =>
  new Map((await readTar(Readable.from([archive]), () => true)).map((node) => [node.path, node]));

beforeAll(async () => {
  folder = await scratch();
  [program = ''] = (await hostTools()).ext4Tar;
  checked = join(folder.path, 'ext4-tar-checked');
  const flags = [
    '-g',
    '-O1',
    '-Wall',
    '-Wextra',
    '-Werror',
    '-fsanitize=address,undefined',
    '-fno-sanitize-recover=all',
  ];
  await hostRunner.run(['cc', ...flags, '-o', checked, source, '-lext2fs', '-lcom_err']);
  root = join(folder.path, 'root');
  value = join(folder.path, 'value');
  await writeFile(value, Buffer.from([0, 0xff, 0x80]));
  acl = join(folder.path, 'acl');
  await writeFile(acl, aclBytes);
  await writeTree(root, {
    'etc/hard': 'linked\n',
    'bin/tool': random,
    empty: '',
    sticky: undefined,
    [`long/${longName}/${'é'.repeat(60)}/file`]: 'deep\n',
    'small-hole': Buffer.concat([Buffer.alloc(100_000), Buffer.from('end')]),
    inline: 'short\n',
    ...Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`many/file-${index}`, `${index}\n`])),
  });
  await writeFile(join(root, 'sparse'), 'start');
  await truncate(join(root, 'sparse'), 5_000_000);
  await writeFile(join(root, 'sparse'), 'end', { flag: 'a' });
  await link(join(root, 'etc/hard'), join(root, 'etc/other'));
  await symlink('hard', join(root, 'etc/link'));
  await symlink(longTarget, join(root, 'etc/long-link'));
});
afterAll(() => folder[Symbol.asyncDispose]());

describe.each([
  'metadata_csum,64bit,inline_data',
  'metadata_csum,64bit,^inline_data',
  '^extents,^64bit,^metadata_csum,^huge_file',
  '^dir_index,^has_journal',
])('a file system with %s', (features) => {
  let image: string;
  let nodes: Map<string, TreeNode>;

  beforeAll(async () => {
    image = join(folder.path, `${features}.img`);
    await makeExt4(image, root, {
      features,
      commands: [
        ...commands,
        `ea_set -f ${value} /bin/tool user.bytes`,
        `ea_set -f ${acl} /sticky system.posix_acl_default`,
      ],
    });
    nodes = await nodesOf(await tar(image, '-b'));
  });
  const text = (path: string): string => Buffer.from(nodes.get(path)?.bytes ?? []).toString();

  it('has every name', () => {
    expect([...nodes.keys()].filter((path) => path.startsWith('/many/'))).toHaveLength(300);
    expect([...nodes.keys()].filter((path) => /^\/[^/]*$/.test(path))).toEqual(
      '/ /bin /disk /empty /etc /fifo /inline /long /lost+found /many /null /small-hole /sparse /sticky'.split(' '),
    );
  });

  it('keeps contents', () => {
    expect(Buffer.from(nodes.get('/bin/tool')?.bytes ?? []).equals(random)).toBe(true);
    expect(text('/empty')).toBe('');
    expect(text('/inline')).toBe('short\n');
    expect(text(`/long/${longName}/${'é'.repeat(60)}/file`)).toBe('deep\n');
    expect(text('/small-hole')).toBe(`${'\0'.repeat(100_000)}end`);
    expect(text('/sparse')).toBe(`start${'\0'.repeat(4_999_995)}end`);
  });

  it('keeps modes, owners, times, devices and attributes', async () => {
    expect(nodes.get('/bin/tool')).toMatchObject({ mode: 0o4755, type: 'file' });
    expect(nodes.get('/etc/hard')).toMatchObject({ uid: 100000, gid: 3000000 });
    expect(nodes.get('/etc/hard')?.mtime).toBeCloseTo(1609459200.123457, 5);
    expect(nodes.get('/sticky')).toMatchObject({ mode: 0o1777, type: 'directory' });
    expect(['/null', '/disk', '/fifo'].map((path) => nodes.get(path)?.type)).toEqual(['char', 'block', 'fifo']);
    expect(nodes.get('/bin/tool')?.xattrs).toEqual({
      'user.plain': Buffer.from('value'),
      'user.bytes': Buffer.from([0, 0xff, 0x80]),
    });
    expect(nodes.get('/sticky')?.xattrs).toEqual({ 'system.posix_acl_default': aclBytes });
    expect((await tar(image)).toString('latin1')).toContain(
      'SCHILY.acl.default=user::rwx,user:1000:r-x,group::r-x,mask::r-x,other::r-x\n',
    );
  });

  it('keeps links', () => {
    expect(nodes.get('/etc/link')?.target).toBe('hard');
    expect(nodes.get('/etc/long-link')?.target).toBe(longTarget);
    expect(text('/etc/other')).toBe('linked\n');
    expect(nodes.get('/etc/other')).toMatchObject({ uid: 100000, gid: 3000000 });
  });

  it("can be read by the host's tar, with hard links and device numbers", async () => {
    const archive = join(folder.path, 'archive.tar');
    await writeFile(archive, await tar(image));
    const { stdout } = await hostRunner.run(['tar', '--numeric-owner', '-tvf', archive]);
    expect(stdout).toMatch(/^h.* 100000\/3000000 +0 .* \.\/etc\/other link to \.\/etc\/hard$/m);
    expect(stdout).toMatch(/^c.* 1,3 .*\.\/null$/m);
    expect(stdout).toMatch(/^b.* 259,300 .*\.\/disk$/m);
    expect(stdout).toMatch(/ 5000003 .*\.\/sparse$/m);
    const size = (await readFile(archive)).length;
    expect(size).toBeLessThan(3_000_000);
  });

  it('writes the same bytes with checks for memory errors, and at an offset', async () => {
    const shifted = join(folder.path, 'shifted.img');
    const bytes = await readFile(image);
    await writeFile(shifted, Buffer.concat([Buffer.alloc(4096 * 3), bytes, Buffer.alloc(4096)]));
    const { value: output } = await runStream([checked, shifted, String(4096 * 3), String(bytes.length)], all);
    expect(output.equals(await tar(image))).toBe(true);
    expect((await readFile(image)).equals(bytes)).toBe(true);
  });
});

describe('damaged input', () => {
  const run = (path: string, offset: number, size: number) =>
    hostRunner.run([checked, path, String(offset), String(size)], {
      okCodes: [0, 1, 2],
      timeout: 60,
      env: { ASAN_OPTIONS: 'detect_leaks=0:exitcode=99', UBSAN_OPTIONS: 'exitcode=99' },
    });

  it('is told in one line', async () => {
    const image = join(folder.path, 'plain.img');
    await makeExt4(image, root, { megabytes: 8 });
    const size = 8 * 1024 * 1024;
    await writeFile(join(folder.path, 'noise'), randomBytes(100_000));
    const cases: readonly [string, number, number, RegExp][] = [
      [image, 0, size + 1, /the image ends early/],
      [image, 4096, size - 4096, /no readable ext4/],
      [image, 0, size - 4096, /more than its/],
      [join(folder.path, 'noise'), 0, 100_000, /no readable ext4/],
      [join(folder.path, 'none'), 0, 1, /No such file/],
    ];
    for (const [path, offset, length, reason] of cases) {
      const { code, stderr } = await run(path, offset, length);
      expect([code, stderr]).toEqual([1, expect.stringMatching(reason)]);
      expect(stderr.trim().split('\n')).toHaveLength(1);
    }
    expect((await run(image, 0, Number.NaN)).code).toBe(2);
  });

  it('is no reason to crash or to go round in circles', async () => {
    const small = join(folder.path, 'small');
    await mkdir(small);
    await writeTree(small, {
      'a/b/c': random.subarray(0, 30_000),
      d: 'inline',
      ...Object.fromEntries(Array.from({ length: 60 }, (_, index) => [`e/${index}`, 'x'])),
    });
    await symlink(longTarget, join(small, 'link'));
    // A fixed sequence, so that a failure can be had again.
    let state = 1;
    const next = (limit: number): number => {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0;
      return Math.floor((state / 2 ** 32) * limit);
    };
    const codes = new Map<number, number>();
    for (const features of ['^metadata_csum,inline_data', '^metadata_csum,^extents,^64bit', 'metadata_csum']) {
      const image = join(folder.path, 'fuzz.img');
      await makeExt4(image, small, { megabytes: 2, block: 1024, features, commands: ['ea_set /d user.a b'] });
      const good = await readFile(image);
      const used = [...good.keys()].filter((at) => good[at] !== 0);
      for (let round = 0; round < 120; round++) {
        const bytes = Buffer.from(good);
        for (let change = 0; change <= next(20); change++) {
          const at = used[next(used.length)] ?? 0;
          bytes[at] = next(2) === 0 ? (bytes[at] ?? 0) ^ (1 << next(8)) : next(256);
        }
        const length = round % 10 === 0 ? next(bytes.length) : bytes.length;
        await writeFile(image, bytes.subarray(0, length));
        const { code } = await run(image, 0, length);
        codes.set(code, (codes.get(code) ?? 0) + 1);
      }
    }
    expect([...codes.keys()].sort()).toEqual([0, 1]);
  });
});
