import { chmod, mkdtemp, readdir, readFile, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { listEntries } from '../../src/cache/entries.ts';
import { choosePruned, prune } from '../../src/cache/prune.ts';
import { exportCache, importCache } from '../../src/cache/transfer.ts';
import { verifyEntries } from '../../src/cache/verify.ts';
import { silent } from '../../src/core/log.ts';
import { type Cache, openCache } from '../../src/host/cache.ts';
import { removeTree } from '../../src/host/folders.ts';
import { type LayerPlace, openLayer } from '../../src/host/layer.ts';
import { type Namespace, openNamespace } from '../../src/host/namespace.ts';
import { sha256 } from '../../src/plan/digest.ts';

interface Place extends LayerPlace {
  readonly held: Map<string, { release(): void }>;
}

let root: string;
const caches: { cache: Cache; namespace: Namespace }[] = [];

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'amslpr-cache-'));
  await chmod(root, 0o755);
});
afterAll(async () => {
  for (const { cache, namespace } of caches) {
    for (const name of await readdir(cache.layers)) await removeTree(cache, namespace, join(cache.layers, name));
  }
  await rm(root, { recursive: true, force: true });
});

async function newCache(name: string): Promise<Place> {
  const cache = await openCache(join(root, name));
  const namespace = await openNamespace(cache);
  caches.push({ cache, namespace });
  return { cache, namespace, log: silent, held: new Map() };
}

// Owners, rights, a set-uid program, a capability, a hard link, and overlayfs' own marks: what a plain copy loses.
const FILL = `cd /tmp/x
  mkdir -p usr/bin secret; echo one > usr/bin/one; ln usr/bin/one usr/bin/hard; ln -s one usr/bin/link
  chown 7:8 usr/bin/one; chmod 4750 usr/bin/one; touch -d '2020-01-01 10:00:00.123456789' usr/bin/one
  echo s > secret/key; chown -R 33:33 secret; chmod 700 secret; chmod 600 secret/key
  cp /bin/true cap; setcap cap_net_raw+ep cap 2>/dev/null || python3 -c "import os; os.setxattr('cap', 'user.mark', b'x')"
  mknod gone c 0 0`;

async function add(place: Place, of: string): Promise<string> {
  const make = async (upper: string): Promise<void> => {
    const mounts = [{ kind: 'stack', lower: [], upper, target: '/tmp/x' }] as const;
    await place.namespace.run(['sh', '-euc', FILL], { root: { kind: 'host' }, mounts });
  };
  const { fs } = await openLayer(place, { name: 'thing', inputs: { of }, make });
  for (const held of place.held.values()) held.release();
  place.held.clear();
  return join(fs, '..');
}

async function addPackage({ cache }: Place, content: string): Promise<string> {
  const file = join(cache.packages, `${sha256(content)}.deb`);
  await writeFile(file, content);
  return file;
}

const look = async ({ namespace }: Place, folder: string): Promise<string> => {
  const script = `cd /cache/layers/${folder.split('/').at(-1)}/fs
    find . -printf '%P %y %m %U %G %T@ %l\\n' | sort; getcap -r . 2>/dev/null; ls -l gone; stat -c %h usr/bin/hard`;
  return (await namespace.run(['sh', '-euc', script], { root: { kind: 'host' } })).stdout;
};

describe('an archive of the cache', () => {
  it.each(['cache.tar', 'cache.tar.zst'])('%s gives another cache the same trees, and they are used', async (file) => {
    const [from, to] = [await newCache(`from-${file}`), await newCache(`to-${file}`)];
    const folder = await add(from, 'moved');
    await addPackage(from, 'a package');
    const archive = join(root, file);
    expect(await exportCache(from, await listEntries(from.cache, from.namespace), archive)).toBe(2);
    expect(await importCache(to, archive)).toEqual({ taken: 2, known: 0, damaged: 0 });
    const copy = join(to.cache.layers, folder.split('/').at(-1) ?? '');
    expect(await look(to, copy)).toBe(await look(from, folder));
    const make = () => Promise.reject(new Error('it was not used'));
    expect((await openLayer(to, { name: 'thing', inputs: { of: 'moved' }, make })).hit).toBe(true);
    expect(await importCache(to, archive)).toEqual({ taken: 0, known: 2, damaged: 0 });
    expect((await readdir(to.cache.layers)).filter((name) => name.endsWith('.new'))).toEqual([]);
  });

  it('goes into a folder that is made for it, and is refused where nothing can be made', async () => {
    const from = await newCache('folder-from');
    await addPackage(from, 'a package');
    const entries = await listEntries(from.cache, from.namespace);
    expect(await exportCache(from, entries, join(root, 'new', 'folder', 'cache.tar'))).toBe(1);
    expect(await readdir(join(root, 'new', 'folder'))).toEqual(['cache.tar']);
    await expect(exportCache(from, entries, '/proc/none/cache.tar')).rejects.toThrow('/proc/none cannot be written');
  });

  it('whose content does not agree with its checksums is not taken', async () => {
    const [from, to] = [await newCache('bad-from'), await newCache('bad-to')];
    const folder = await add(from, 'bad');
    const name = folder.split('/').at(-1);
    await from.namespace.run(['sh', '-c', `echo two > /cache/layers/${name}/fs/usr/bin/one`], {
      root: { kind: 'host' },
    });
    const file = await addPackage(from, 'b');
    await writeFile(file, 'c');
    const archive = join(root, 'bad.tar');
    await exportCache(from, await listEntries(from.cache, from.namespace), archive);
    expect(await importCache(to, archive)).toEqual({ taken: 0, known: 0, damaged: 2 });
    expect([...(await readdir(to.cache.layers)), ...(await readdir(to.cache.packages))]).toEqual([]);
  });

  it('whose name is not that of its inputs is not taken', async () => {
    const [from, to] = [await newCache('name-from'), await newCache('name-to')];
    const folder = await add(from, 'name');
    await rename(folder, join(from.cache.layers, `thing-${'0'.repeat(32)}`));
    const archive = join(root, 'name.tar');
    await exportCache(from, await listEntries(from.cache, from.namespace), archive);
    expect(await importCache(to, archive)).toMatchObject({ taken: 0, damaged: 1 });
  });

  it('that is cut short, or no archive, leaves nothing', async () => {
    const [from, to] = [await newCache('cut-from'), await newCache('cut-to')];
    await add(from, 'cut');
    const archive = join(root, 'cut.tar');
    await exportCache(from, await listEntries(from.cache, from.namespace), archive);
    await writeFile(archive, (await readFile(archive)).subarray(0, 9000));
    await expect(importCache(to, archive)).rejects.toThrow(/tar/);
    await expect(importCache(to, join(root, 'none.tar'))).rejects.toThrow(/no such file/);
    expect(await readdir(to.cache.layers)).toEqual([]);
  });

  it('is not there after an interrupt', async () => {
    const from = await newCache('interrupt');
    await add(from, 'interrupt');
    const archive = join(root, 'interrupt.tar');
    const all = await listEntries(from.cache, from.namespace);
    await expect(exportCache({ ...from, signal: AbortSignal.abort() }, all, archive)).rejects.toThrow();
    expect((await readdir(root)).filter((name) => name.startsWith('interrupt.tar'))).toEqual([]);
  });
});

it('pruning drops what is old, and leaves what a build uses', async () => {
  const place = await newCache('prune');
  const [old, used, young] = [await add(place, 'old'), await add(place, 'used'), await add(place, 'young')];
  for (const folder of [old, used]) await utimes(join(folder, 'inputs.json'), 1, 1);
  const held = { ...place, held: new Map() };
  await openLayer(held, { name: 'thing', inputs: { of: 'used' }, make: () => Promise.reject(new Error('a miss')) });
  await utimes(join(used, 'inputs.json'), 1, 1);
  const entries = await listEntries(place.cache, place.namespace);
  expect(entries.map(({ bytes }) => bytes > 0)).toEqual([true, true, true]);
  const chosen = choosePruned(entries, { olderThan: 1000 * 86_400_000 }, new Date());
  const { removed, busy } = await prune(place.cache, place.namespace, chosen);
  expect([removed, busy].map((list) => list.map(({ path }) => path))).toEqual([[old], [used]]);
  expect((await readdir(place.cache.layers)).sort()).toEqual(
    [used, young].map((path) => path.split('/').at(-1)).sort(),
  );
  for (const lock of held.held.values()) lock.release();
});

it('verifying finds damage that stat does not tell, and removes it', async () => {
  const place = await newCache('verify');
  const [good, bad] = [await add(place, 'good'), await add(place, 'bad')];
  const file = await addPackage(place, 'whole');
  await writeFile(file, 'wHole');
  const name = bad.split('/').at(-1);
  const script = `cd /cache/layers/${name}/fs; touch -r usr/bin/one /tmp/t; printf 'own\\n' > usr/bin/one; touch -r /tmp/t usr/bin/one`;
  await place.namespace.run(['sh', '-c', script], { root: { kind: 'host' } });
  const entries = await listEntries(place.cache, place.namespace);
  const damaged = await verifyEntries(place.cache, place.namespace, entries, () => undefined);
  expect(damaged.map(({ entry, damage }) => [entry.path, ...damage])).toEqual([
    [bad, 'usr/bin/hard: its content was changed', 'usr/bin/one: its content was changed'],
    [file, 'its content was changed'],
  ]);
  expect([await readdir(place.cache.layers), await readdir(place.cache.packages)]).toEqual([
    [good.split('/').at(-1)],
    [],
  ]);
});
