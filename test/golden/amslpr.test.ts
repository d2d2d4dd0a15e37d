import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import type { PlannedFile } from '../../src/core/plan.ts';
import { sha256 } from '../../src/plan/digest.ts';
import { makePlan } from '../../src/plan/plan.ts';
import { stages } from '../../stages/index.ts';

// What the default profile puts into an image, as real files: a review of a stage sees what changes on the device.
// `npm run golden` writes them anew.

const root = join(import.meta.dirname, '../..');
const folder = join(import.meta.dirname, 'amslpr');
const plan = makePlan(loadConfig(join(root, 'config/amslpr.yaml'), stages), stages, root);

/** Programs and the application are reviewed where they are written; the manifest has their digests. */
const COPIED = /^\/(usr\/lib\/amslpr\/amslpr_device|opt\/amslpr\/releases)\//;
/** Padding is of no interest, and neither is what holds the digests of all the others. */
const LEFT_OUT = /^\/boot\/firmware\/(report\.json|bundle\.[01])$/;

const shown = plan.files.filter(({ type, path }) => type === 'file' && !COPIED.test(path) && !LEFT_OUT.test(path));

function line({ type, mode, owner, path, target, bytes, capabilities, stage }: PlannedFile): string {
  const content =
    type === 'directory' ? 'folder' : type === 'symlink' ? `-> ${target}` : sha256(bytes ?? new Uint8Array());
  return [mode, owner, path, content, stage, ...(capabilities === undefined ? [] : [capabilities])].join(' ');
}

describe('the default profile', () => {
  it('has the files of the manifest', async () => {
    const manifest = `${plan.files.map(line).join('\n')}\n`;
    await expect(manifest).toMatchFileSnapshot(join(folder, 'manifest.txt'));
  });

  it.each(shown.map((file) => [file.path, file] as const))('%s', async (path, { bytes }) => {
    await expect(Buffer.from(bytes ?? []).toString('utf8')).toMatchFileSnapshot(join(folder, 'rootfs', path));
  });

  it('shows no file that is no longer in the image', () => {
    const rootfs = join(folder, 'rootfs');
    const found = existsSync(rootfs)
      ? readdirSync(rootfs, { recursive: true, withFileTypes: true })
          .filter((entry) => entry.isFile())
          .map((entry) => join(entry.parentPath, entry.name).slice(rootfs.length))
      : [];
    expect(found.filter((path) => !shown.some((file) => file.path === path))).toEqual([]);
  });
});
