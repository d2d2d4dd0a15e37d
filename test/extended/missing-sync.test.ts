import { expect, it } from 'vitest';
import { builtImage } from '../image/built-image.ts';
import { scratch } from '../image/small-image.ts';
import { powerCuts } from '../power-cut/run.ts';

// Proof that a run of ci/power-cut can fail: one sync is taken out, and the device loses a host key that sshd has shown.
it('a sync that is missing is found', async () => {
  await using folder = await scratch();
  const { image } = await builtImage();
  const log = (text: string): void => void process.stderr.write(`power cuts: ${text}\n`);
  const choice = {
    seed: '1',
    subsets: 0,
    whole: 0,
    chains: 0,
    sample: 4,
    part: [1, 1] as const,
    steps: ['partitions'],
  };
  const machine = { image, folder: folder.path, minutes: 60, cpus: 2, quick: true, log };
  const found = await powerCuts({ ...choice, ...machine, broken: 'fsync-host-keys' });
  expect(found.failures, found.text).toBeGreaterThan(0);
  expect(found.text).toContain('hostKey is another one than before');
});
