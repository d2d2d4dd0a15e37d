import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { access, mkdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { UserError } from '../core/errors.ts';
import { cacheRoot } from '../host/cache.ts';
import { hostRunner } from '../host/runner.ts';
import type { Toolbox } from '../toolbox/toolbox.ts';

/** How to start the programs that read an image: a program and its first arguments. */
export interface AuditTools {
  readonly ext4Tar: readonly string[];
  readonly zstd: readonly string[];
  readonly xz: readonly string[];
}

const SOURCE = fileURLToPath(new URL('../../native/ext4-tar.c', import.meta.url));

/**
 * The host's own programs. ext4-tar is the one that a toolbox compiled before, or else is compiled with the host's
 * compiler; once for each version of its source.
 * @throws UserError with the packages that are missing
 */
export async function hostTools(): Promise<AuditTools> {
  const source = await projectSource();
  const program = programPath(source.text);
  if (!(await exists(program))) await compileOnHost(source.path, program);
  return { ext4Tar: [program], zstd: ['zstd'], xz: ['xz'] };
}

/**
 * The toolbox's programs, started on the host without a namespace: ext4-tar is static (and from then on found by
 * `hostTools`), the others run by the toolbox's own loader and libraries. Nothing is needed on the host.
 */
export async function toolboxTools(toolbox: Toolbox): Promise<AuditTools> {
  const source = await projectSource();
  const program = programPath(source.text);
  if (!(await exists(program))) await compileInToolbox(toolbox, source.text, program);
  const [loader, triplet] = process.arch === 'arm64' ? LOADERS.arm64 : LOADERS.x64;
  const start = (name: string): string[] => [
    join(toolbox.root, loader),
    '--library-path',
    join(toolbox.root, 'usr/lib', triplet),
    join(toolbox.root, 'usr/bin', name),
  ];
  return { ext4Tar: [program], zstd: start('zstd'), xz: start('xz') };
}

const LOADERS = {
  arm64: ['usr/lib/aarch64-linux-gnu/ld-linux-aarch64.so.1', 'aarch64-linux-gnu'],
  x64: ['usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2', 'x86_64-linux-gnu'],
} as const;

function programPath(source: string): string {
  const digest = createHash('sha256').update(source).digest('hex').slice(0, 16);
  return join(cacheRoot(), 'native', `ext4-tar-${digest}`);
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

/** Compiled code lies one folder deeper than its source (dist/), so native/ is looked for in both. */
async function projectSource(): Promise<{ readonly path: string; readonly text: string }> {
  const bundled = fileURLToPath(new URL('../native/ext4-tar.c', import.meta.url));
  for (const path of [SOURCE, bundled]) {
    const text = await readFile(path, 'utf8').catch(() => undefined);
    if (text !== undefined) return { path, text };
  }
  throw new UserError(`${SOURCE} is missing: the installation is not complete`);
}

/** Makes a program aside and renames it, so that a cut leaves none that counts. */
async function place(program: string, make: (temporary: string) => Promise<unknown>): Promise<void> {
  await mkdir(dirname(program), { recursive: true });
  const temporary = `${program}.${process.pid}`;
  try {
    await make(temporary);
    await rename(temporary, program);
  } finally {
    await rm(temporary, { force: true });
  }
}

async function compileInToolbox(toolbox: Toolbox, source: string, program: string): Promise<void> {
  const script = 'cc -O2 -static -x c -o /tmp/ext4-tar - -lext2fs -lcom_err && cat /tmp/ext4-tar';
  await place(program, (temporary) =>
    toolbox.run(['sh', '-c', script], { input: source, stdoutTo: createWriteStream(temporary, { mode: 0o755 }) }),
  );
}

async function compileOnHost(source: string, program: string): Promise<void> {
  const command = (output: string): string[] => ['cc', '-O2', '-o', output, source, '-lext2fs', '-lcom_err'];
  try {
    await place(program, (temporary) => hostRunner.run(command(temporary), { timeout: 120 }));
  } catch (cause) {
    throw new UserError(
      {
        message: 'No program that reads ext4: it could not be compiled',
        hint: 'Run a build first (its toolbox has the program), or: sudo apt-get install gcc libc6-dev libext2fs-dev',
      },
      { cause },
    );
  }
}
