import { join } from 'node:path';
import { inImage, inToolbox, onTop } from '../src/engine/context.ts';
import { bootstrap } from '../src/engine/steps/packages.ts';
import { openBuild, withFolder } from './context.ts';
import { alternate } from './measure.ts';
import type { Row } from './row.ts';

/** Three modules in place of all that may be needed: quick. */
const FEW = `
sed -i 's/^MODULES=.*/MODULES=list/' /tmp/image/etc/initramfs-tools/initramfs.conf
printf 'ext4\\nvirtio_blk\\ndm_crypt\\n' >> /tmp/image/etc/initramfs-tools/modules
`;

export const initramfs: Row = {
  name: 'initramfs',
  work: '`update-initramfs` of the default image',
  async run({ rounds, quick, tell }) {
    const context = await openBuild({ dispatch: true });
    const plain = await openBuild({ dispatch: false });
    return withFolder(context, 'bench-packages', async (folder) => {
      const { image } = context.lock;
      await bootstrap(context, image.packages, image.requested, folder);
      const layer = { name: 'packages', key: '', fs: join(folder, 'fs'), hit: false };
      if (quick) await inToolbox(context, FEW, { lower: [], upper: folder });
      const way = (one: typeof context) => () =>
        withFolder(context, 'bench-top', async (top) => {
          const start = performance.now();
          await inImage(one, ['update-initramfs', '-c', '-k', 'all'], onTop([layer], top));
          return (performance.now() - start) / 1000;
        });
      const arms = await alternate({ dispatch: way(context), emulation: way(plain) }, rounds, tell);
      const ratio = (arms['emulation']?.median ?? Number.NaN) / (arms['dispatch']?.median ?? Number.NaN);
      return {
        arms,
        figures: [{ name: 'emulation / dispatch', value: ratio, unit: 'x', goal: { atLeast: 10 } }],
        ...(quick ? { notes: ['MODULES=list with three modules'] } : {}),
      };
    });
  },
};
