import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Device, openDevice } from '../../src/qemu/device.ts';
import { withBootPartition } from '../../src/qemu/overlay.ts';
import { bootTools } from '../../src/qemu/tools.ts';
import { findBootPartition, readBootFiles } from '../../src/site/boot-partition.ts';
import { ADMIN } from './record.ts';

/** Logs in to a guest that `runCard` runs in `folder` with this port. `key`: the administrator's, which opens the bundle. */
export async function loginTo(folder: string, card: string, port: number, key: string): Promise<Device> {
  const tools = await bootTools();
  const { size } = await stat(card);
  const overlay = { path: join(folder, 'card.qcow2'), size, image: card, identity: '' };
  const bootFile = (path: string): Promise<Buffer | undefined> =>
    withBootPartition(tools, overlay, folder, async (raw) => {
      const { contents } = await readBootFiles(await findBootPartition(raw), (name) => name === path);
      return contents.get(path);
    });
  const guest = { ports: { ssh: port, http: 0, https: 0 }, folder, bootFile };
  return openDevice(guest, { user: ADMIN, identity: key });
}
