import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { hostRunner } from '../../src/host/runner.ts';

/** systemd-analyze of the toolbox, whose systemd is the image's: the host's may judge by other rules, or be missing. */
const loaders = {
  arm64: ['usr/lib/aarch64-linux-gnu/ld-linux-aarch64.so.1', 'aarch64-linux-gnu'],
  x64: ['usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2', 'x86_64-linux-gnu'],
} as const;

/** What systemd-analyze says of units, without starting them: exposure from 0 (safe) to 10 by name. */
export async function exposures(
  toolbox: string,
  folder: string,
  files: ReadonlyMap<string, string>,
  units: readonly string[],
): Promise<Record<string, number>> {
  for (const [path, text] of files) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  }
  const [loader, triplet] = process.arch === 'arm64' ? loaders.arm64 : loaders.x64;
  const libraries = join(toolbox, 'usr/lib', triplet);
  const found: Record<string, number> = {};
  for (const unit of units) {
    // A template is judged by an instance of it.
    const named = unit.replace('@.', '@any.');
    const { stdout } = await hostRunner.run([
      join(toolbox, loader),
      '--library-path',
      `${libraries}:${libraries}/systemd`,
      join(toolbox, 'usr/bin/systemd-analyze'),
      ...['security', '--no-pager', '--offline=true', `--root=${folder}`, named],
    ]);
    found[unit] = Number(/exposure level for \S+: (\d+\.\d)/.exec(stdout)?.[1] ?? Number.NaN);
  }
  return found;
}
