import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { checkUnchanged, makeOverlay } from '../../../src/qemu/overlay.ts';
import type { BootTools } from '../../../src/qemu/tools.ts';

const folder = mkdtempSync(join(tmpdir(), 'amslpr-overlay-'));
afterAll(() => rmSync(folder, { recursive: true }));

it('an image that a build replaces is not taken for the one that a guest was started from', async () => {
  const image = join(folder, 'amslpr.img');
  writeFileSync(image, 'one');
  // What the view is made with does not matter here, and is nothing that every host has.
  const overlay = await makeOverlay({ qemuImg: ['true'] } as unknown as BootTools, image, join(folder, 'card.qcow2'));
  await expect(checkUnchanged(overlay)).resolves.toBeUndefined();
  writeFileSync(join(folder, 'new.img'), 'one');
  renameSync(join(folder, 'new.img'), image);
  await expect(checkUnchanged(overlay)).rejects.toThrow(/amslpr\.img was replaced while the guest was running/);
  rmSync(image);
  await expect(checkUnchanged(overlay)).rejects.toThrow(/was replaced/);
});
