import { createHash } from 'node:crypto';
import { access, mkdir, readFile, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { UserError } from '../core/errors.ts';
import { cacheRoot } from '../host/cache.ts';
import { hostRunner } from '../host/runner.ts';

/** Programs that read an image, as absolute paths or names on PATH. */
export interface AuditTools {
  readonly ext4Tar: string;
  readonly zstd: string;
  readonly xz: string;
}

const SOURCE = fileURLToPath(new URL('../../native/ext4-tar.c', import.meta.url));

/**
 * The host's own programs; ext4-tar is compiled with the host's compiler once for each version of its source. Callers
 * that have a toolbox give its programs instead.
 * @throws UserError with the packages that are missing
 */
export async function hostTools(): Promise<AuditTools> {
  const source = await projectFile(SOURCE);
  const digest = createHash('sha256').update(source.text).digest('hex').slice(0, 16);
  const program = join(cacheRoot(), 'native', `ext4-tar-${digest}`);
  const isThere = await access(program).then(
    () => true,
    () => false,
  );
  if (!isThere) await compile(source.path, program);
  return { ext4Tar: program, zstd: 'zstd', xz: 'xz' };
}

/** Compiled code lies one folder deeper than its source (dist/), so native/ is looked for in both. */
async function projectFile(path: string): Promise<{ readonly path: string; readonly text: string }> {
  const above = join(dirname(dirname(dirname(path))), 'native', 'ext4-tar.c');
  for (const candidate of [path, above]) {
    const text = await readFile(candidate, 'utf8').catch(() => undefined);
    if (text !== undefined) return { path: candidate, text };
  }
  throw new UserError(`${path} is missing: the installation is not complete`);
}

async function compile(source: string, program: string): Promise<void> {
  await mkdir(dirname(program), { recursive: true });
  const temporary = `${program}.${process.pid}`;
  try {
    await hostRunner.run(['cc', '-O2', '-o', temporary, source, '-lext2fs', '-lcom_err'], { timeout: 120 });
  } catch (cause) {
    throw new UserError(
      {
        message: 'No program that reads ext4: it could not be compiled',
        hint: 'Run a build first (its toolbox has the program), or: sudo apt-get install gcc libc6-dev libext2fs-dev',
      },
      { cause },
    );
  }
  await rename(temporary, program);
}
