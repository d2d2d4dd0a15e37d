import { expect, it } from 'vitest';
import { builtImage } from '../image/built-image.ts';
import { scratch } from '../image/small-image.ts';
import { powerCuts } from '../power-cut/run.ts';

const quick = { seed: '1', subsets: 1, whole: 0, chains: 0, part: [1, 1], cpus: 2, quick: true } as const;
const log = (text: string): void => void process.stderr.write(`power cuts: ${text}\n`);

// A sample of `ci/power-cut --full`: a first boot, then three of its cuts. docs/reliability.md has what a full run found.
it('a first boot whose power was cut comes to its end', async () => {
  await using folder = await scratch();
  const { image } = await builtImage();
  const found = await powerCuts({ ...quick, image, folder: folder.path, sample: 3, minutes: 25, log });
  expect(found.failures, found.text).toBe(0);
  expect(found.boots).toBe(3);
});
