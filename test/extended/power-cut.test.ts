import { expect, it } from 'vitest';
import { builtImage } from '../image/built-image.ts';
import { scratch } from '../image/small-image.ts';
import { powerCuts } from '../power-cut/run.ts';

const quick = { seed: '1', whole: 0, chains: 0, part: [1, 1], cpus: 2, quick: true } as const;
const log = (text: string): void => void process.stderr.write(`power cuts: ${text}\n`);

// A sample of `ci/power-cut --full`: a first boot, then three of its cuts. docs/reliability.md has what runs found.
it('a first boot whose power was cut comes to its end', async () => {
  await using folder = await scratch();
  const { image } = await builtImage();
  const found = await powerCuts({ ...quick, subsets: 1, image, folder: folder.path, sample: 3, minutes: 60, log });
  expect(found.failures, found.text).toBe(0);
  expect(found.boots).toBe(3);
});

// Proof that a run of ci/power-cut can fail: one sync is taken out, and the device loses a host key that sshd has shown.
it('a sync that is missing is found', async () => {
  await using folder = await scratch();
  const { image } = await builtImage();
  const given = { ...quick, subsets: 0, image, folder: folder.path, sample: 4, minutes: 60, log };
  const found = await powerCuts({ ...given, broken: 'fsync-host-keys', steps: ['partitions'] });
  expect(found.failures, found.text).toBeGreaterThan(0);
  expect(found.text).toContain('hostKey is another one than before');
});
