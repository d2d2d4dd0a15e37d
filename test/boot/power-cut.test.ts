import { expect, it } from 'vitest';
import { builtImage } from '../image/built-image.ts';
import { scratch } from '../image/small-image.ts';
import { powerCuts } from '../power-cut/run.ts';

// A sample of `ci/power-cut --full`: a first boot, then three of its cuts. docs/reliability.md has what runs found.
it('a first boot whose power was cut comes to its end', async () => {
  await using folder = await scratch();
  const { image } = await builtImage();
  const log = (text: string): void => void process.stderr.write(`power cuts: ${text}\n`);
  const choice = { seed: '1', subsets: 1, whole: 0, chains: 0, sample: 3, part: [1, 1] as const };
  const found = await powerCuts({ ...choice, image, folder: folder.path, minutes: 60, cpus: 2, quick: true, log });
  expect(found.failures, found.text).toBe(0);
  expect(found.boots).toBe(3);
});
