import { expect, it } from 'vitest';
import { buildTree, differences, emulatedManifest, manifestOf, openBuild } from '../helpers/same-trees.ts';

it('the packages and the initramfs of the default image are the same with dispatch and by emulation', async () => {
  const context = await openBuild({ dispatch: true });
  const { requested } = context.lock.image;
  const emulated = await emulatedManifest(requested, 'all');
  const trees = await buildTree(context, requested, 'all');
  try {
    expect(differences(emulated, await manifestOf(context, trees), context.epoch)).toEqual([]);
  } finally {
    await trees.remove();
  }
});
