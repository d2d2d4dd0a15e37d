import { firmwareOf } from './firmware.ts';
import { identityOf } from './record.ts';
import { loginTo } from './session.ts';
import type { AfterWork } from './try-points.ts';
import type { Work } from './work.ts';

/** Judges cards that were cut at a work that does not touch what the board starts from: the device says itself. */
export const afterWork = (folder: string, work: Work): AfterWork => ({
  firmware: firmwareOf,
  look: async () => [],
  async finish(card, place, port) {
    await using device = await loginTo(place, card, port, identityOf(folder));
    return work.finish({ device, console: `${place}/console.log` });
  },
  judge: async () => [],
});
