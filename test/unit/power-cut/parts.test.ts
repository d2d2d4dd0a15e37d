import { expect, test } from 'vitest';
import { faults } from '../../power-cut/parts.ts';

const lines = (...wrong: string[]): string =>
  [
    ...['Pass 1: Checking inodes, blocks, and sizes', ...wrong, 'Pass 5: Checking group summary information'],
    ...['Free blocks count wrong (326555, counted=326459).', 'Fix? no', ''],
    ...['rootfs: ********** WARNING: Filesystem still has errors **********', ''],
    'rootfs: 23261/124928 files (0.1% non-contiguous), 177253/503808 blocks',
  ].join('\n');

test('sums of a file system that was not unmounted are no fault', () => {
  expect(faults(lines())).toBe('');
});

test.each([
  'Free blocks count wrong for group #3 (100, counted=90).',
  'Inode 12, i_size is 0, should be 4096.',
  "Entry 'x' in /etc (13) has deleted/unused inode 99.",
  'Block bitmap differences:  +(1--3)',
])('anything else is: %s', (line) => {
  expect(faults(lines(line, 'Fix? no'))).toBe(line);
});
