import { sha256 } from '../plan/digest.ts';

export const BLOCK = 4096;

/** A run of blocks that hold data: first block, last block, SHA-256 of its bytes. */
export type BlockRange = readonly [first: number, last: number, sha256: string];

/**
 * A block map of format 2.0, as bmaptool writes and reads it: which blocks of an image hold data, with a checksum of each
 * run and one of the map itself, taken while its own place is filled with the digit 0. `size` is the image's, in bytes.
 */
export function formatBmap(size: number, ranges: readonly BlockRange[]): string {
  const mapped = ranges.reduce((sum, [first, last]) => sum + last + 1 - first, 0);
  const lines = ranges.map(([first, last, sum]) => {
    const blocks = first === last ? `${first}` : `${first}-${last}`;
    return `        <Range chksum="${sum}"> ${blocks} </Range>\n`;
  });
  const text = (own: string): string => `<?xml version="1.0" ?>
<!-- Blocks that are not listed hold nothing: bmaptool and the verb flash need not write them. -->
<bmap version="2.0">
    <ImageSize> ${size} </ImageSize>
    <BlockSize> ${BLOCK} </BlockSize>
    <BlocksCount> ${Math.ceil(size / BLOCK)} </BlocksCount>
    <MappedBlocksCount> ${mapped} </MappedBlocksCount>
    <ChecksumType> sha256 </ChecksumType>
    <BmapFileChecksum> ${own} </BmapFileChecksum>
    <BlockMap>
${lines.join('')}    </BlockMap>
</bmap>
`;
  return text(sha256(text('0'.repeat(64))));
}
