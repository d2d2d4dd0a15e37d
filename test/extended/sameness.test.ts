import { expect, it } from 'vitest';
import { buildTree, differences, emulatedManifest, manifestOf, openBuild } from '../helpers/same-trees.ts';

it('the packages and the initramfs of the default image are the same with dispatch and by emulation', async () => {
  const context = await openBuild({ dispatch: true });
  const work = { requested: context.lock.image.requested, modules: 'all' } as const;
  const emulated = await emulatedManifest(work);
  const trees = await buildTree(context, work);
  try {
    expect(differences(emulated, await manifestOf(context, trees), context.epoch)).toEqual([]);
  } finally {
    await trees.remove();
  }
});
