import { expect, it } from 'vitest';
import { formatBmap } from '../../../src/engine/bmap.ts';
import { parseBmap } from '../../../src/flash/bmap.ts';

const digest = 'a'.repeat(64);

it('a block map is read as it was written', () => {
  const text = formatBmap(10 * 4096 + 512, [
    [0, 0, digest],
    [3, 5, digest],
    [10, 10, digest],
  ]);
  expect(text).toContain('<MappedBlocksCount> 5 </MappedBlocksCount>');
  expect(parseBmap(Buffer.from(text), 'x.bmap')).toEqual({
    imageSize: 10 * 4096 + 512,
    blockSize: 4096,
    hash: 'sha256',
    ranges: [
      { start: 0, length: 4096, checksum: digest },
      { start: 12288, length: 12288, checksum: digest },
      { start: 40960, length: 512, checksum: digest },
    ],
  });
});

it('its own checksum finds a change', () => {
  const text = formatBmap(8192, [[0, 1, digest]]);
  expect(() => parseBmap(Buffer.from(text.replace('0-1', '0-0')), 'x.bmap')).toThrow(/checksum/);
});
