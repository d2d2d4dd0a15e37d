import { mkdir, mkdtemp, open, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { hostRunner } from '../../src/host/runner.ts';

/** A temporary folder that goes with the test. */
export async function scratch(): Promise<{
  readonly path: string;
  readonly [Symbol.asyncDispose]: () => Promise<void>;
}> {
  const path = await mkdtemp(join(tmpdir(), 'amslpr-image-test-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** Writes files below a folder; a value of undefined makes a folder. */
export async function writeTree(root: string, files: Readonly<Record<string, string | Uint8Array | undefined>>) {
  for (const [path, content] of Object.entries(files)) {
    if (content === undefined) await mkdir(join(root, path), { recursive: true });
    else {
      await mkdir(dirname(join(root, path)), { recursive: true });
      await writeFile(join(root, path), content);
    }
  }
}

/** An ext4 file system of `megabytes` with the content of a folder, then changed by debugfs commands. */
export async function makeExt4(
  output: string,
  folder: string,
  options: {
    readonly megabytes?: number;
    readonly features?: string;
    readonly commands?: readonly string[];
    readonly block?: number;
  } = {},
): Promise<void> {
  await writeFile(output, '');
  await truncate(output, (options.megabytes ?? 16) * 1024 * 1024);
  const features = options.features === undefined ? [] : ['-O', options.features];
  const block = options.block === undefined ? [] : ['-b', String(options.block)];
  await hostRunner.run(['mke2fs', '-q', '-F', '-t', 'ext4', '-I', '256', ...features, ...block, '-d', folder, output]);
  await debugfs(output, options.commands ?? []);
}

/** Runs debugfs commands on a file system, or on the one at `offset` of an image. */
export async function debugfs(image: string, commands: readonly string[], offset = 0): Promise<void> {
  if (commands.length === 0) return;
  const target = offset === 0 ? image : `${image}?offset=${offset}`;
  const script = `${commands.join('\n')}\n`;
  const { stdout, stderr } = await hostRunner.run(['debugfs', '-w', '-f', '-', target], { input: script });
  // debugfs ends with 0 whatever happened; its complaints follow the line of the command.
  const complaints = `${stdout}\n${stderr}`
    .split('\n')
    .filter((line) => /: (?!.*debugfs:).*(not found|[Uu]sage|[Nn]o such|[Cc]an't|rror)/.test(line));
  if (complaints.length > 0) throw new Error(complaints.join('\n'));
}

export const SMALL = { bootStart: 16384, bootSectors: 81920, rootStart: 98304, rootSectors: 65536 } as const;

/** A card image with MBR, FAT32 and ext4, laid out as the real ones but small. */
export async function makeImage(
  output: string,
  content: { readonly boot: string; readonly root: string; readonly rootCommands?: readonly string[] },
): Promise<void> {
  const [fat, ext4] = [`${output}.fat`, `${output}.ext4`];
  const table = `label: dos\nlabel-id: 0xcafe1234\nstart=${SMALL.bootStart}, size=${SMALL.bootSectors}, type=c\nstart=${SMALL.rootStart}, size=${SMALL.rootSectors}, type=83\n`;
  await writeFile(output, '');
  await truncate(output, (SMALL.rootStart + SMALL.rootSectors) * 512);
  await hostRunner.run(['sfdisk', '-q', output], { input: table });
  await writeFile(fat, '');
  await truncate(fat, SMALL.bootSectors * 512);
  await hostRunner.run(['mkfs.vfat', '-F', '32', '-s', '1', '-n', 'BOOTFS', fat]);
  const names = (await hostRunner.run(['ls', content.boot])).stdout.split('\n').filter((name) => name !== '');
  await hostRunner.run(['mcopy', '-s', '-i', fat, ...names.map((name) => join(content.boot, name)), '::/']);
  await makeExt4(ext4, content.root, { megabytes: SMALL.rootSectors / 2048, commands: content.rootCommands ?? [] });
  const image = await open(output, 'r+');
  try {
    for (const [part, start] of [
      [fat, SMALL.bootStart],
      [ext4, SMALL.rootStart],
    ] as const) {
      const bytes = await readFile(part);
      await image.write(bytes, 0, bytes.length, start * 512);
      await rm(part);
    }
  } finally {
    await image.close();
  }
}

/** A copy that shares or skips what it can: images are mostly holes. */
export async function copySparse(from: string, to: string): Promise<void> {
  await hostRunner.run(['cp', '--reflink=auto', '--sparse=always', from, to]);
}
