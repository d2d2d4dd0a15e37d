import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { silent } from '../../src/core/log.ts';
import { type BuildContext, inImage, inToolbox, onTop } from '../../src/engine/context.ts';
import { buildLayers } from '../../src/engine/layers.ts';
import { openLock } from '../../src/engine/lock-file.ts';
import { openContext } from '../../src/engine/open-context.ts';
import { makeStep } from '../../src/engine/step.ts';
import { newFolder, removeTree } from '../../src/host/folders.ts';
import type { Layer } from '../../src/host/layer.ts';
import { builtImage } from './built-image.ts';

// The initramfs is made before any file but those that are marked as its inputs. If one is read that is not marked, the
// first update on the device gives another initramfs than the one of the image: here it is made once more, from the
// finished tree, and compared.
const project = fileURLToPath(new URL('../..', import.meta.url));
let context: BuildContext;
let layers: Layer[];
let sealed: Map<string, string>;
const folders: string[] = [];

beforeAll(async () => {
  const { plan } = await builtImage();
  const options = { out: 'none', lockFile: join(project, 'config', 'amslpr.lock.yaml'), project };
  const lock = await openLock(plan, options, silent);
  context = await openContext(plan, lock, options, silent);
  layers = await buildLayers(context, makeStep(silent));
  await context.prepare();
  sealed = await contentOf(join(layers.find(({ name }) => name === 'initramfs')?.fs ?? '', 'boot'));
});
afterAll(async () => {
  for (const folder of folders) await removeTree(context.cache, context.namespace, folder);
});

const UNPACK = `unmkinitramfs /tmp/boot/initrd.img-* /tmp/unpacked; cd /tmp/unpacked
  find . -printf '%P %y %m %l\\n'; find . -type f -exec sha256sum {} +`;

/** Everything in the initramfs of a /boot: path to type, mode, target and digest. */
async function contentOf(boot: string): Promise<Map<string, string>> {
  const mounts = [{ kind: 'bind', source: boot, target: '/tmp/boot' }] as const;
  const { stdout } = await context.toolbox.run(['sh', '-euc', UNPACK], { mounts });
  const found = new Map<string, string>();
  for (const line of stdout.split('\n')) {
    const [, digest, hashed = ''] = /^([0-9a-f]{64}) {2}\.\/(.*)$/.exec(line) ?? [];
    const [path = '', ...facts] = digest === undefined ? line.split(' ') : [hashed, digest];
    found.set(path, `${found.get(path) ?? ''} ${facts.join(' ')}`);
  }
  return found;
}

/** Makes the initramfs once more on top of all layers and of what `script` does, and gives the paths that differ. */
async function madeAgain(script: string, input = ''): Promise<string[]> {
  const upper = await newFolder(context.cache, 'sealed');
  folders.push(upper);
  const stack = onTop(layers, upper);
  await inToolbox(context, script, stack, { input });
  await inImage(context, ['update-initramfs', '-c', '-k', 'all'], stack);
  const again = await contentOf(join(upper, 'fs', 'boot'));
  const paths = [...new Set([...sealed.keys(), ...again.keys()])].sort();
  return paths.filter((path) => sealed.get(path) !== again.get(path));
}

describe('the initramfs', () => {
  it('is made of packages and of files that are marked as its inputs, and of nothing else', async () => {
    expect(sealed.size).toBeGreaterThan(100);
    expect(await madeAgain('true')).toEqual([]);
  });
  it('differs when a file that nobody marked enters', async () => {
    const hook = `#!/bin/sh
[ "$1" = prereqs ] && exit 0
. /usr/share/initramfs-tools/hook-functions
copy_file text /etc/undeclared
`;
    const script = `cd /tmp/image/etc; echo 'options undeclared a=1' > modprobe.d/undeclared.conf; echo x > undeclared
      cat > initramfs-tools/hooks/undeclared; chmod 755 initramfs-tools/hooks/undeclared`;
    expect(await madeAgain(script, hook)).toEqual(['etc/modprobe.d/undeclared.conf', 'etc/undeclared']);
  });
});
