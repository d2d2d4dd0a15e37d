import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BuildContext } from '../../src/engine/context.ts';
import {
  baseLayer,
  buildTree,
  differences,
  emulatedManifest,
  type Manifest,
  manifestOf,
  openBuild,
  project,
  runOnTop,
  type Trees,
} from '../helpers/same-trees.ts';

/**
 * Between them these bring maintainer scripts of every kind that the default image has: debconf and other perl, adduser
 * and sysusers, alternatives, diversions, systemd helpers, byte compilation, certificates, triggers. They are installed
 * on the base of the default image, which is made once; test/extended/sameness.test.ts compares the whole package set
 * with its base.
 */
const PACKAGES = [
  'ca-certificates',
  'cracklib-runtime',
  'iptables',
  'logrotate',
  'openssh-server',
  'python3-gunicorn',
  'ufw',
];

let emulated: Manifest;
let context: BuildContext;
let trees: Trees;
let dispatched: Manifest;

beforeAll(async () => {
  context = await openBuild({ dispatch: true });
  const work = { requested: PACKAGES, modules: 'few', base: await baseLayer(context) } as const;
  emulated = await emulatedManifest(work);
  trees = await buildTree(context, work);
  dispatched = await manifestOf(context, trees);
});
afterAll(() => trees?.remove());

const compare = (manifest: Manifest): string[] => differences(emulated, manifest, context.epoch);

describe('packages and initramfs, installed with dispatch and by emulation', () => {
  it('are the same in content, mode, owner, links and attributes', () => {
    expect(compare(dispatched)).toEqual([]);
  });

  it('were both built in full', () => {
    for (const manifest of [emulated, dispatched]) {
      const paths = [...manifest.keys()];
      expect(paths.length).toBeGreaterThan(5000);
      expect(paths.filter((path) => path.includes('!')).length).toBeGreaterThan(100);
      expect(paths.some((path) => /initrd.*!.*\/virtio_blk\.ko/.test(path))).toBe(true);
    }
  });
});

describe('a rule that makes a program native that must not be', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'amslpr-rules-'));
    await cp(join(project, 'native'), join(folder, 'native'), { recursive: true });
    await writeFile(join(folder, 'native/dispatch.rules'), 'native /usr/sbin/ldconfig knows better\n', { flag: 'a' });
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it.each([
    ['with it', () => openBuild({ dispatch: true, from: folder }), ['/etc/ld.so.cache']],
    ['without it', () => openBuild({ dispatch: true }), []],
  ])('is noticed: ldconfig %s', async (_, open, paths) => {
    const one = await open();
    const more = await runOnTop(one, trees, ['ldconfig']);
    try {
      const found = compare(await manifestOf(one, more)).map((text) => text.split('\n')[0]);
      expect(found.filter((path) => path === '/etc/ld.so.cache')).toEqual(paths);
    } finally {
      await more.remove();
    }
  });
});
