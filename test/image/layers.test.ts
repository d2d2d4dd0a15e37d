import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, cp, mkdtemp, readdir, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { LogEntry } from '../../src/core/log.ts';
import { type Cache, openCache } from '../../src/host/cache.ts';
import { removeTree } from '../../src/host/folders.ts';
import type { Inputs } from '../../src/host/inputs.ts';
import { type Layer, type LayerPlace, openLayer } from '../../src/host/layer.ts';
import { type Namespace, openNamespace } from '../../src/host/namespace.ts';

// Small trees in a cache of their own, made by real namespaces: what holds for them holds for an image's layers.
const project = fileURLToPath(new URL('../..', import.meta.url));
let root: string;
let cache: Cache;
let namespace: Namespace;
let told: string[];

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'amslpr-layers-'));
  await chmod(root, 0o755);
  cache = await openCache(join(root, 'cache'));
  namespace = await openNamespace(cache);
});
beforeEach(() => {
  told = [];
});
afterAll(async () => {
  for (const name of await readdir(cache.layers)) await removeTree(cache, namespace, join(cache.layers, name));
  await rm(root, { recursive: true, force: true });
});

const place = (): LayerPlace & { held: Map<string, { release(): void }> } => ({
  cache,
  namespace,
  image: 'test',
  held: new Map(),
  log: (entry: LogEntry) => {
    if (entry.kind === 'warning' || entry.kind === 'notice') told.push(entry.text);
  },
});

const FILL = `cd /tmp/x; mkdir -p usr/bin secret; echo one > usr/bin/one; echo two > usr/bin/two; ln -s one usr/bin/link
  chown 7:8 usr/bin/two; chmod 4750 usr/bin/two; chown 33:33 secret; chmod 700 secret; echo s > secret/key; chown 33:33 secret/key; chmod 600 secret/key`;

async function open(inputs: Inputs, script = FILL, at = place()): Promise<Layer> {
  const make = async (upper: string): Promise<void> => {
    const mounts = [{ kind: 'stack', lower: [], upper, target: '/tmp/x' }] as const;
    await namespace.run(['sh', '-euc', script], { root: { kind: 'host' }, mounts });
  };
  try {
    return await openLayer(at, { name: 'thing', inputs, make });
  } finally {
    for (const held of at.held.values()) held.release();
  }
}

const inside = (layer: Layer, script: string) =>
  namespace.run(['sh', '-euc', `cd /cache/layers/${layer.fs.split('/').at(-2)}/fs\n${script}`], {
    root: { kind: 'host' },
  });

describe('an entry', () => {
  it('is used again, whatever the order of its inputs', async () => {
    expect((await open({ a: '1', b: '2' })).hit).toBe(false);
    expect((await open({ b: '2', a: '1' })).hit).toBe(true);
    expect(told).toEqual(['thing: made anew, since there is none yet']);
  });
  it('that is missing says which input changed', async () => {
    await open({ packages: { nginx: '1.26-1 arm64' }, epoch: '5' });
    await open({ packages: { nginx: '1.26-2 arm64' }, epoch: '5' });
    expect(told.at(-1)).toBe('thing: made anew, since these changed: packages: nginx 1.26-1 -> 1.26-2');
  });
  it.each([
    [
      'changed',
      'sed -i s/one/own/ usr/bin/one',
      /thing-\S+ in the cache is damaged and is not used: .*usr\/bin\/one: its content was changed/,
    ],
    [
      'changed, with size and time as before',
      'touch -r usr/bin/one /tmp/t; printf "own\\n" > usr/bin/one; touch -r /tmp/t usr/bin/one',
      /usr\/bin\/one: its content was changed/,
    ],
    ['truncated', ': > usr/bin/two', /usr\/bin\/two: its content was changed/],
    ['missing', 'rm secret/key', /secret\/key: missing/],
    ['added', 'echo > usr/bin/three', /usr\/bin\/three: was not there before/],
    ['given other rights', 'chmod 755 usr/bin/two', /usr\/bin\/two: its mode was changed/],
    [
      'given to somebody else',
      'chown 0:0 usr/bin/two; chmod 4750 usr/bin/two',
      /usr\/bin\/two: its owner, group were changed/,
    ],
    ['pointed elsewhere', 'ln -sfn two usr/bin/link', /usr\/bin\/link: its .*target were changed/],
  ])('with a file that was %s is found, told of, and made anew', async (_, damage, message) => {
    const inputs = { damage };
    await inside(await open(inputs), damage);
    const again = await open(inputs);
    expect(again.hit).toBe(false);
    expect(told.join('\n')).toMatch(message);
    const { stdout } = await inside(
      again,
      'cat usr/bin/one usr/bin/two secret/key; ls usr/bin | wc -l; stat -c "%u %g %a" usr/bin/two',
    );
    expect(stdout).toBe('one\ntwo\ns\n3\n7 8 4750');
    expect((await open(inputs)).hit).toBe(true);
  });
  it.each(['stat', 'sums', 'inputs.json'])('whose %s is gone or damaged is made anew', async (file) => {
    const inputs = { file };
    const { fs } = await open(inputs);
    await rm(join(fs, '..', file));
    expect((await open(inputs)).hit).toBe(file === 'inputs.json' || file === 'sums');
    await writeFile(join(fs, '..', 'stat'), 'nonsense');
    expect((await open(inputs)).hit).toBe(false);
  });
  it('that was copied to another place is hashed once, and used', async () => {
    const inputs = { copied: '1' };
    const { fs } = await open(inputs);
    const folder = join(fs, '..');
    await namespace.run(['cp', '-a', `/cache/layers/${folder.split('/').at(-1)}`, '/cache/layers/copy'], {
      root: { kind: 'host' },
    });
    for (const file of ['stat', 'sums', 'inputs.json']) await cp(join(folder, file), join(cache.layers, 'copy', file));
    await removeTree(cache, namespace, folder);
    await rename(join(cache.layers, 'copy'), folder);
    expect((await open(inputs)).hit).toBe(true);
  });
  it('is hashed when that is asked for', async () => {
    const inputs = { hashed: '1' };
    const layer = await open(inputs);
    expect((await open(inputs, FILL, { ...place(), hashes: true })).hit).toBe(true);
    // Bytes that changed on the disk alone: no stat tells of them, so the record of how it looks is made to agree.
    await inside(layer, 'printf "own\\n" > usr/bin/one');
    const list = `find . -printf '%P\\001%y %m %U %G %s %T@ %n\\001%i %C@\\001%l\\0' | LC_ALL=C sort -z`;
    await writeFile(join(layer.fs, '..', 'stat'), (await inside(layer, list)).stdout);
    expect((await open(inputs)).hit).toBe(true);
    expect((await open(inputs, FILL, { ...place(), hashes: true })).hit).toBe(false);
    expect(told.join('\n')).toMatch(/usr\/bin\/one: its content was changed/);
  });
  it('whose making fails leaves nothing', async () => {
    const before = await readdir(cache.layers);
    await expect(open({ fails: '1' }, 'echo > /tmp/x/a; exit 3')).rejects.toThrow(/exit code 3/);
    expect(await readdir(cache.layers)).toEqual(before);
    expect((await readdir(cache.locks)).filter((name) => !name.startsWith('session-'))).toEqual([]);
  });
});

const OPEN = `
  const { openCache } = await import('${project}/src/host/cache.ts');
  const { openNamespace } = await import('${project}/src/host/namespace.ts');
  const { openLayer } = await import('${project}/src/host/layer.ts');
  const cache = await openCache(process.argv.at(-1));
  const namespace = await openNamespace(cache);
  const log = (entry) => console.log(entry.text);
  const make = (upper) => namespace.run(['sh', '-euc', ${JSON.stringify(`sleep 0.3\n${FILL}\nhead -c 30000000 /dev/urandom > /tmp/x/big`)}], {
    root: { kind: 'host' }, mounts: [{ kind: 'stack', lower: [], upper, target: '/tmp/x' }] });
  const layer = await openLayer({ cache, namespace, image: 'test', log }, { name: 'thing', inputs: { race: process.argv.at(-2) }, make });
  console.log(layer.hit ? 'HIT' : 'MADE');`;

function another(inputs: string) {
  const child = spawn('node_modules/.bin/tsx', ['--input-type=module', '-e', OPEN, '--', inputs, cache.root], {
    cwd: project,
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  return { child, output: () => output, ended: once(child, 'exit') };
}

describe('two processes', () => {
  it('that need the same entry make it once, and both use it', async () => {
    const both = [another('two'), another('two')];
    await Promise.all(both.map(({ ended }) => ended));
    const outputs = both.map(({ output }) => output().trim().split('\n').at(-1));
    expect(outputs.sort()).toEqual(['HIT', 'MADE']);
    expect(both.map(({ output }) => output()).join('')).toMatch(/Another build is making thing: waiting for it\./);
  });
});

describe('a kill at any time', () => {
  it('leaves nothing that counts, and the next one removes what is left', async () => {
    const made: string[] = [];
    for (let round = 0; round < 12; round += 1) {
      const { child, ended, output } = another('killed');
      await new Promise((resolve) => setTimeout(resolve, 350 + Math.random() * 1400));
      // One that ended by itself in time is killed no more.
      if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL');
      await ended;
      made.push(output().trim().split('\n').at(-1) ?? '');
    }
    const { ended, output } = another('killed');
    await ended;
    expect(output(), made.join(', ')).toMatch(/(HIT|MADE)\n$/);
    // One more, with other inputs, since who opens an entry that is there does not look for leftovers; builds do.
    await another('after').ended;
    const names = await readdir(cache.layers);
    expect(names.filter((name) => !/^thing-[0-9a-f]{32}$/.test(name))).toEqual([]);
    const sessions = (await readdir(cache.locks)).filter((name) => !name.startsWith('session-'));
    expect(sessions).toEqual([]);
    expect(told.join('\n')).not.toMatch(/damaged/);
  });
});

it('the time of use is kept', async () => {
  const layer = await open({ used: '1' });
  const record = join(layer.fs, '..', 'inputs.json');
  await utimes(record, 1, 1);
  expect((await open({ used: '1' })).hit).toBe(true);
  const { stdout } = await inside(layer, 'stat -c %Y ../inputs.json');
  expect(Number(stdout)).toBeGreaterThan(1);
});
