import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CacheEntry, listEntries } from '../../src/cache/entries.ts';
import { exportCache, importCache } from '../../src/cache/transfer.ts';
import { silent } from '../../src/core/log.ts';
import { type Cache, openCache } from '../../src/host/cache.ts';
import { removeTree } from '../../src/host/folders.ts';
import { type Namespace, openNamespace } from '../../src/host/namespace.ts';
import { hostRunner } from '../../src/host/runner.ts';
import { builtImage } from '../image/built-image.ts';

// Whole builds, as a person starts them, in a cache of their own that has packages and toolbox, and no layer.
const project = fileURLToPath(new URL('../..', import.meta.url));
let root: string;
let image: string;
let cache: Cache;
let namespace: Namespace;
let temporary: string;

beforeAll(async () => {
  ({ image } = await builtImage());
  await mkdir(join(project, 'work'), { recursive: true });
  root = await mkdtemp(join(project, 'work', 'killed-'));
  await chmod(root, 0o755);
  temporary = await mkdtemp(join(tmpdir(), 'amslpr-killed-'));
  const shared = await openCache();
  const from = { cache: shared, namespace: await openNamespace(shared) };
  const wanted = ({ kind }: CacheEntry): boolean => kind === 'package' || kind === 'toolbox';
  const archive = join(root, 'cache.tar');
  await exportCache(from, (await listEntries(from.cache, from.namespace)).filter(wanted), archive);
  cache = await openCache(join(root, 'cache'));
  namespace = await openNamespace(cache);
  await importCache({ cache, namespace, log: silent }, archive);
  await rm(archive);
});
afterAll(async () => {
  for (const parent of [cache.layers, cache.toolboxes]) {
    for (const name of await readdir(parent)) await removeTree(cache, namespace, join(parent, name));
  }
  for (const folder of [root, temporary]) await rm(folder, { recursive: true, force: true });
});

interface Build {
  readonly child: ChildProcess;
  readonly ended: Promise<unknown>;
  output(): string;
}

function startBuild(out: string): Build {
  const child = spawn('node_modules/.bin/tsx', ['build.ts', 'build', 'config/amslpr.yaml', '-o', join(root, out)], {
    cwd: project,
    env: { ...process.env, AMSLPR_CACHE: cache.root, TMPDIR: temporary },
    stdio: ['ignore', 'ignore', 'pipe'],
    detached: true,
  });
  let text = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  return { child, ended: once(child, 'exit'), output: () => text };
}

const isEqual = async (out: string): Promise<boolean> =>
  (await hostRunner.run(['cmp', image, join(root, out, image.split('/').at(-1) ?? '')], { okCodes: [0, 1] })).code ===
  0;

/** Whatever a build leaves that is neither a finished entry nor a finished output. */
async function leftovers(out: string): Promise<string[]> {
  const unfinished = (names: readonly string[]): string[] => names.filter((name) => /\.(new|old|partial)$/.test(name));
  const processes = (await hostRunner.run(['ps', '-eo', 'pid,args'])).stdout.split('\n');
  return [
    ...unfinished(await readdir(cache.layers)),
    ...unfinished(await readdir(cache.toolboxes)),
    ...unfinished(await readdir(join(root, out))),
    ...(await readdir(cache.locks)).filter((name) => !name.startsWith('session-')),
    ...(await readdir(temporary)).filter((name) => name.startsWith('amslpr')),
    ...processes.filter((line) => line.includes(cache.skeleton)),
  ];
}

describe('two builds of one configuration at the same time, without a layer', () => {
  it('make each layer once, and the same image as any other build', async () => {
    const both = [startBuild('one'), startBuild('two')];
    await Promise.all(both.map(({ ended }) => ended));
    const outputs = both.map(({ output }) => output());
    expect(
      both.map(({ child }) => child.exitCode),
      outputs.join('\n---\n'),
    ).toEqual([0, 0]);
    expect(outputs.join('').match(/packages: made anew/g)).toHaveLength(1);
    expect(outputs.join('')).toMatch(/Another build is making packages: waiting for it\./);
    expect([await isEqual('one'), await isEqual('two')]).toEqual([true, true]);
    expect([...(await leftovers('one')), ...(await leftovers('two'))]).toEqual([]);
  });
});

describe('a build that was killed at any time', () => {
  it('leaves nothing that the next one takes for whole, and the next one cleans up', async () => {
    const forget = async (names: readonly string[]): Promise<void> => {
      for (const name of await readdir(cache.layers)) {
        if (names.some((start) => name.startsWith(`${start}-`))) {
          await removeTree(cache, namespace, join(cache.layers, name));
        }
      }
    };
    // From nothing, from the last layer on, and from finished layers on: every step gets its share of kills.
    const rounds = [
      ['base', 'packages', 'initramfs', 'files'],
      ['packages', 'initramfs'],
      ['files'],
      [],
      ['files'],
      [],
      [],
    ];
    const seen: string[] = [];
    for (const [index, layers] of rounds.entries()) {
      await forget(layers);
      const { child, ended, output } = startBuild('killed');
      await new Promise((resolve) => setTimeout(resolve, 1500 + Math.random() * (index < 2 ? 40_000 : 12_000)));
      child.kill('SIGKILL');
      if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL');
      await ended;
      seen.push(output().trim().split('\n').at(-1) ?? '');
      if (existsSync(join(root, 'killed'))) {
        const names = await readdir(join(root, 'killed'));
        if (names.includes(image.split('/').at(-1) ?? '')) expect(await isEqual('killed'), seen.join('\n')).toBe(true);
      }
      await rm(join(root, 'killed', image.split('/').at(-1) ?? ''), { force: true });
    }
    const last = startBuild('killed');
    await last.ended;
    expect(last.child.exitCode, `${seen.join('\n')}\n${last.output()}`).toBe(0);
    expect(last.output()).not.toMatch(/damaged/);
    expect(await isEqual('killed'), seen.join('\n')).toBe(true);
    expect(await leftovers('killed')).toEqual([]);
    expect((await readFile(join(root, 'killed', 'amslpr.SHA256SUMS'), 'utf8')).split('\n').length).toBeGreaterThan(5);
  });
});
