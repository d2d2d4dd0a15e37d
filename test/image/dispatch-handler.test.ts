import { chmod, copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { hostRunner } from '../../src/host/runner.ts';
import { sha256 } from '../../src/plan/digest.ts';

// The handler, compiled for a folder of the test, with scripts in the place of the native copy's loader and of QEMU:
// what it decides can be seen without a program for arm64.
const source = fileURLToPath(new URL('../../native/dispatch.c', import.meta.url));
const PROGRAM = 'a program of the target';
const LOADER = 'root/lib64/ld-linux-x86-64.so.2';
let folder: string;
let program: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'amslpr-dispatch-'));
  program = join(folder, 'program');
  const [inside, assembly] = [join(folder, 'inside'), join(folder, 'qemu.S')];
  await writeFile(`${inside}.c`, '#include <stdio.h>\nint main(void) { return puts("the one inside") < 0; }\n');
  await hostRunner.run(['gcc', '-static', '-o', inside, `${inside}.c`]);
  await writeFile(
    assembly,
    `.section .rodata\n.global qemu_start\n.global qemu_end\nqemu_start: .incbin "${inside}"\nqemu_end:\n.section .note.GNU-stack,"",@progbits\n`,
  );
  const argv = ['gcc', '-O2', '-Wall', '-Wextra', '-Werror', '-static', `-DHOME="${folder}"`];
  await hostRunner.run([...argv, '-o', join(folder, 'dispatch'), source, assembly]);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** A script that says who runs and with what, and ends with that code. */
async function script(path: string, says: string, code: number): Promise<void> {
  await writeFile(join(folder, path), `#!/bin/sh\necho "${says} $*"\nexit ${code}\n`);
  await chmod(join(folder, path), 0o755);
}

async function table(rule: string, content: string = PROGRAM): Promise<void> {
  await writeFile(join(folder, 'table'), `${content.length} ${sha256(content)} ${rule} root/usr/bin/program\n`);
}

beforeEach(async () => {
  await rm(join(folder, 'root'), { recursive: true, force: true });
  await mkdir(join(folder, 'root/lib64'), { recursive: true });
  await mkdir(join(folder, 'root/usr/bin'), { recursive: true });
  await writeFile(join(folder, 'root/usr/bin/program'), 'native');
  await writeFile(program, PROGRAM);
  await script(LOADER, 'native', 0);
  await script('qemu', 'emulated', 0);
  await rm(join(folder, 'perl'), { force: true });
  await rm(join(folder, 'arguments'), { force: true });
  await table('native');
});

/** As the kernel starts it: the path given to execve, argv[0], arguments. */
const run = (...words: string[]) =>
  hostRunner.run([join(folder, 'dispatch'), program, 'called', ...words], { okCodes: [0, 3, 126, 127] });

describe('the handler', () => {
  it('runs the native copy of a program that is known, under the name it was called by', async () => {
    const { stdout, stderr } = await run('one', 'two words');
    expect(stdout).toMatch(/^native --library-path \S+ --argv0 called \S+\/root\/usr\/bin\/program one two words$/);
    expect(stderr).toBe('');
  });

  it.each([
    ['has other content of the same size', () => writeFile(program, PROGRAM.toUpperCase())],
    ['has another size', () => writeFile(program, `${PROGRAM}.`)],
    ['is in no table', () => writeFile(join(folder, 'table'), '')],
    ['has no table', () => rm(join(folder, 'table'))],
  ])('emulates a program that %s, and says nothing', async (_, spoil) => {
    await spoil();
    expect(await run('one')).toEqual({ stdout: `emulated -0 called ${program} one`, stderr: '', code: 0 });
  });

  it.each([
    ['its loader is missing', () => rm(join(folder, LOADER))],
    ['its loader is of no known format', () => writeFile(join(folder, LOADER), '')],
    ['its loader may not be run', () => chmod(join(folder, LOADER), 0o644)],
    ['the copy is missing', () => rm(join(folder, 'root/usr/bin/program'))],
    ['it needs perl modules that are not there', () => table('perl')],
  ])('emulates a program when %s, and reports it', async (_, spoil) => {
    await spoil();
    const { stdout, stderr, code } = await run('one');
    expect([stdout, code]).toEqual([`emulated -0 called ${program} one`, 0]);
    expect(stderr).toMatch(/^dispatch: root\/usr\/bin\/program could not be started natively \(.+\); emulating it$/);
  });

  it.each([3, 126, 127])('takes exit code %d of a program that was started for its own result', async (code) => {
    await script(LOADER, 'native', code);
    const result = await run();
    expect(result).toMatchObject({ code, stderr: '' });
    expect(result.stdout).toMatch(/^native /);
  });

  it('tells apt the CPU, and nothing to other programs', async () => {
    await writeFile(join(folder, LOADER), '#!/bin/sh\necho "$APT_CONFIG"\n', { mode: 0o755 });
    expect((await run()).stdout).toBe('');
    await mkdir(join(folder, 'root/usr/lib/apt'), { recursive: true });
    for (const path of ['root/usr/bin/apt-get', 'root/usr/lib/apt/apt-helper']) {
      await writeFile(join(folder, path), 'native');
      await writeFile(join(folder, 'table'), `${PROGRAM.length} ${sha256(PROGRAM)} native ${path}\n`);
      expect((await run()).stdout).toBe(`${folder}/apt.conf`);
    }
  });

  it('gives perl the folders of modules that the target has, and no others', async () => {
    await table('perl');
    await writeFile(join(folder, 'perl'), `${folder}/none /usr/lib/none\n${folder}/root /usr/lib/own\n`);
    const { stdout } = await run('-e', '1');
    expect(stdout).toMatch(/program -I\S+\/root\/usr\/lib\/own -e 1$/);
    expect(stdout).not.toContain('none');
  });

  it.each([
    [['-m', 'tool', 'x'], 'native'],
    [['-m', 'tool'], 'emulated'],
    [['-c', 'print(1)'], 'native'],
    [['-c', 'print(1)', 'more'], 'emulated'],
    [['-c', 'import os', '-m', 'tool', 'x'], 'emulated'],
    [['-m', 'tool', 'y'.repeat(9000)], 'native'],
    [['z'.repeat(9000)], 'emulated'],
    [[], 'emulated'],
  ])('asks the list of arguments where the rule says so: %j', async (words, how) => {
    await table('arguments');
    const own = 'root/usr/bin/program';
    await writeFile(join(folder, 'arguments'), `root/usr/bin/other\t*\n${own}\t-m tool *\n${own}\t-c print(1)\n`);
    expect((await run(...words)).stdout.split(' ')[0]).toBe(how);
  });

  it('emulates in a chroot without its folder, by the QEMU inside', async () => {
    const bare = join(folder, 'bare');
    await mkdir(bare, { recursive: true });
    await copyFile(join(folder, 'dispatch'), join(bare, 'dispatch'));
    await writeFile(join(bare, 'program'), PROGRAM);
    const argv = ['unshare', '--user', '--map-root-user', 'chroot', bare, '/dispatch', '/program', 'called'];
    expect(await hostRunner.run(argv)).toEqual({ stdout: 'the one inside', stderr: '', code: 0 });
  });
});
