import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readdir, rm, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { hostRunner } from '../../src/host/runner.ts';
import { builtImage } from '../image/built-image.ts';

// Whole builds on a disk that gets full in the middle of a step: a tmpfs in a mount namespace of its own, which takes
// root. Each build goes on with what those before it finished.

const project = fileURLToPath(new URL('../..', import.meta.url));
const MIB = 2 ** 20;
/** MiB that are free when a step begins: about half of what it writes; the files are few. */
const STEPS = { base: 64, packages: 64, initramfs: 4, files: 0, image: 256, companions: 32 } as const;

const OK_OR_NOT = { okCodes: [0, 1] };

let root: string;
let disk: string;
let image: string;
let holder: ChildProcess;

/** A path of the disk as this process sees it. */
const seen = (...path: readonly string[]): string => join(`/proc/${holder.pid}/root`, disk, ...path);
const onDisk = (...argv: readonly string[]): string[] => [
  ...['nsenter', `--mount=/proc/${holder.pid}/ns/mnt`, 'env', `--chdir=${project}`],
  ...[`AMSLPR_CACHE=${join(disk, 'cache')}`, `TMPDIR=${join(disk, 'tmp')}`, ...argv],
];
const TOOL = ['node_modules/.bin/tsx', 'build.ts'] as const;

beforeAll(async () => {
  ({ image } = await builtImage());
  root = await mkdtemp(join(tmpdir(), 'amslpr-full-'));
  await chmod(root, 0o755);
  disk = join(root, 'disk');
  await mkdir(disk);
  const mount = `mount -t tmpfs -o size=10g,mode=755 tmpfs ${disk} && mkdir ${disk}/tmp && echo ready && exec sleep 7200`;
  holder = spawn('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', mount], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (holder.stdout !== null) await once(holder.stdout, 'data');
  const archive = join(root, 'cache.tar');
  await hostRunner.run([...TOOL, 'cache', 'export', archive, '--without', 'layer'], { cwd: project });
  await hostRunner.run(onDisk(...TOOL, 'cache', 'import', archive));
  await rm(archive);
});
afterAll(async () => {
  holder?.kill();
  if (root !== undefined) await rm(root, { recursive: true, force: true });
});

interface Outcome {
  readonly code: number;
  readonly said: string;
}

/** Builds; from the beginning of `step` on, so many MiB of the disk are free. */
async function build(step?: keyof typeof STEPS): Promise<Outcome> {
  const [program = '', ...rest] = onDisk(...TOOL, 'build', 'config/amslpr.yaml', '-o', join(disk, 'out'));
  const child = spawn(program, rest, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, NO_COLOR: '1' } });
  let said = '';
  let filled: Promise<unknown> | undefined;
  const fill = async (left: number): Promise<void> => {
    // All or nothing: what the build took meanwhile makes the first tries fail.
    for (let made = false; !made && child.exitCode === null; ) {
      const { bfree, bsize } = await statfs(seen());
      const size = Math.max(1, bfree * bsize - left * MIB);
      const { code } = await hostRunner.run(onDisk('fallocate', '-l', `${size}`, join(disk, 'ballast')), OK_OR_NOT);
      made = code === 0;
    }
  };
  const hear = (chunk: Buffer): void => {
    said += chunk.toString();
    if (step !== undefined && new RegExp(`^> ${step}\\b`, 'm').test(said)) filled ??= fill(STEPS[step]);
  };
  child.stdout.on('data', hear);
  child.stderr.on('data', hear);
  await once(child, 'close');
  await filled;
  await rm(seen('ballast'), { force: true });
  return { code: child.exitCode ?? -1, said };
}

/** Whatever a build leaves that is neither a finished entry nor a finished output. */
async function leftovers(): Promise<string[]> {
  const names = async (...path: readonly string[]): Promise<string[]> => readdir(seen(...path)).catch(() => []);
  return [
    ...(await names('out')),
    ...(await names('tmp')).filter((name) => name.startsWith('amslpr')),
    ...[...(await names('cache', 'layers')), ...(await names('cache', 'outputs'))].filter((name) =>
      /\.(new|old|partial)$/.test(name),
    ),
  ];
}

it.each(Object.keys(STEPS) as (keyof typeof STEPS)[])(
  'a disk that gets full in the step %s is named, and leaves nothing half written',
  async (step) => {
    const { code, said } = await build(step);
    expect(said).toMatch(new RegExp(`^FAILED: ${step}`, 'm'));
    expect(code, said).toBe(1);
    expect(said).toMatch(/disk is full|no space left/i);
    expect(said).not.toMatch(/^ +at .*:\d+:\d+/m);
    expect(await leftovers(), said).toEqual([]);
  },
);

it('with room again, the next build makes the same image as any other', async () => {
  const { code, said } = await build();
  expect(code, said).toBe(0);
  expect(said).not.toMatch(/damaged/);
  await hostRunner.run(['cmp', image, seen('out', 'amslpr.img')]);
});
