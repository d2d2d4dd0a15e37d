import { expect, it } from 'vitest';
import { pendingUpdates } from '../../../src/score/measures/updates.ts';

it('apt: what it would install', () => {
  const text =
    'NOTE: this is a simulation\nInst libc6 [2.41-12] (2.41-13 Debian-Security:13/stable [arm64])\nConf libc6\n';
  expect(pendingUpdates(text)).toEqual(['libc6 from 2.41-12 to 2.41-13']);
});
