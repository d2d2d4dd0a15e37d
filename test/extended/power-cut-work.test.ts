import { describe, expect, it } from 'vitest';
import { builtImage } from '../image/built-image.ts';
import { scratch } from '../image/small-image.ts';
import type { Report } from '../power-cut/report.ts';
import { powerCuts } from '../power-cut/run.ts';
import type { WorkName } from '../power-cut/work.ts';

// Small samples of `ci/power-cut --work`: what writes the boot files, and the nightly backup, each recorded and cut.

async function cutAt(work: WorkName, sample: number): Promise<Report> {
  await using folder = await scratch();
  const { image } = await builtImage();
  const log = (text: string): void => void process.stderr.write(`power cuts: ${text}\n`);
  const choice = { seed: '1', subsets: 1, whole: 0, chains: 0, sample, part: [1, 1] as const };
  return powerCuts({ ...choice, work, image, folder: folder.path, minutes: 85, cpus: 2, quick: true, log });
}

describe('a device whose power is cut', () => {
  it('while boot files are written has the old set or the new one, and starts', async () => {
    const found = await cutAt('boot-files', 2);
    expect(found.failures, found.text).toBe(0);
    expect(found.text).toMatch(/^Looked at without a start: \d+ points, [1-9]/m);
    expect(found.boots).toBe(2);
  });

  it('in a backup becomes ready, has whole archives only, and makes another one', async () => {
    const found = await cutAt('backup', 1);
    expect(found.failures, found.text).toBe(0);
    expect(found.boots).toBe(1);
  });
});
