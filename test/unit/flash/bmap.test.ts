import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { UserError } from '../../../src/core/errors.ts';
import { parseBmap } from '../../../src/flash/bmap.ts';

const SUM = 'a'.repeat(64);
const FIELDS = { ImageSize: '10000', BlockSize: '4096', BlocksCount: '3', MappedBlocksCount: '2' };

interface Parts {
  readonly fields?: Readonly<Record<string, string>>;
  readonly ranges?: string;
  readonly version?: string;
  readonly extra?: string;
}

/** A map of format 2.0 with a right checksum of its own. */
function bmap({
  fields = {},
  ranges = `<Range chksum="${SUM}">0</Range><Range> 2 </Range>`,
  version = '2.0',
  extra = '',
}: Parts): Buffer {
  const all = Object.entries({ ...FIELDS, ...fields }).map(([name, value]) => `<${name}> ${value} </${name}>`);
  const blank = '0'.repeat(64);
  const text = `<?xml version="1.0" ?>${extra}<bmap version="${version}">${all.join('')}<ChecksumType> sha256 </ChecksumType><BmapFileChecksum> ${blank} </BmapFileChecksum><BlockMap>${ranges}</BlockMap></bmap>`;
  return Buffer.from(text.replace(blank, createHash('sha256').update(text).digest('hex')));
}

const parse = (bytes: Uint8Array) => parseBmap(bytes, 'x.bmap');

describe('block maps', () => {
  it('give ranges in bytes, the last cut at the end of the image', () => {
    expect(parse(bmap({}))).toEqual({
      imageSize: 10000,
      blockSize: 4096,
      hash: 'sha256',
      ranges: [
        { start: 0, length: 4096, checksum: SUM },
        { start: 8192, length: 1808 },
      ],
    });
  });

  it('of format 1.3 are read, with SHA-1', () => {
    const sum = 'b'.repeat(40);
    const text = (own: string): string =>
      `<bmap version="1.3"><ImageSize>8192</ImageSize><BlockSize>4096</BlockSize><BlocksCount>2</BlocksCount><MappedBlocksCount>1</MappedBlocksCount><BmapFileSHA1>${own}</BmapFileSHA1><BlockMap><Range sha1="${sum}">1-1</Range></BlockMap></bmap>`;
    const own = createHash('sha1')
      .update(text('0'.repeat(40)))
      .digest('hex');
    expect(parse(Buffer.from(text(own)))).toMatchObject({ hash: 'sha1', ranges: [{ start: 4096, checksum: sum }] });
  });

  it('may have comments, and no range at all', () => {
    expect(parse(bmap({ ranges: '<!-- <Range>9</Range> -->', fields: { MappedBlocksCount: '0' } })).ranges).toEqual([]);
  });

  it.each(['<!--', '<BlockMap>', '<bmap ', '<Range '])('made of %j alone are refused at once', (text) => {
    const start = performance.now();
    for (const before of ['', '<bmap version="1.2"><ImageSize>8192</ImageSize>']) {
      const bytes = Buffer.from(before + text.repeat((1 << 20) / text.length));
      expect(() => parse(bytes)).toThrow(UserError);
    }
    const whole = `<bmap version="1.2"><ImageSize>8192</ImageSize><BlockSize>4096</BlockSize><BlocksCount>2</BlocksCount><MappedBlocksCount>0</MappedBlocksCount>`;
    expect(() => parse(Buffer.from(whole + text.repeat((1 << 20) / text.length)))).toThrow(UserError);
    expect(performance.now() - start).toBeLessThan(3000);
  });

  const bad: readonly (readonly [string, Parts, string])[] = [
    ['a range outside the image', { ranges: '<Range>0-3</Range>' }, 'outside'],
    ['ranges out of order', { ranges: '<Range>2</Range><Range>0</Range>' }, 'out of order'],
    ['ranges that overlap', { ranges: '<Range>0-1</Range><Range>1</Range>' }, 'out of order'],
    ['a range that ends before it starts', { ranges: '<Range>2-1</Range>' }, 'out of order'],
    ['a count that is not that of the ranges', { fields: { MappedBlocksCount: '3' } }, 'lists 2'],
    ['a size that is not that of the blocks', { fields: { BlocksCount: '4' } }, 'do not make'],
    ['an odd block size', { fields: { BlockSize: '1000', BlocksCount: '10' } }, 'blocks of 1000'],
    ['a number that is none', { fields: { ImageSize: '-1' } }, 'not a number'],
    ['a huge number', { fields: { ImageSize: '9'.repeat(30) } }, 'not a number'],
    ['an empty image', { fields: { ImageSize: '0', BlocksCount: '0' } }, 'size is 0'],
    ['a version to come', { version: '3.0' }, 'not known'],
    ['a malformed checksum', { ranges: '<Range chksum="abc">0-1</Range>' }, 'malformed'],
    ['text between the ranges', { ranges: '<Range>0-1</Range> and more' }, 'no range in'],
    ['entities', { extra: '<!DOCTYPE x [<!ENTITY a "b">]>' }, 'entities'],
  ];
  it.each(bad)('with %s are refused', (_, parts, reason) => {
    expect(() => parse(bmap(parts))).toThrow(reason);
  });

  it('are checked against their own checksum', () => {
    expect(() => parse(Buffer.from(bmap({}).toString().replace('>0<', '>1<')))).toThrow('its own checksum');
  });

  it('without a checksum of their own are refused from format 2.0 on', () => {
    const text = bmap({})
      .toString()
      .replace(/<BmapFileChecksum>.*<\/BmapFileChecksum>/, '');
    expect(() => parse(Buffer.from(text))).toThrow('no checksum');
  });

  it('never end in anything but ranges within the image or a message', () => {
    const good = bmap({}).toString();
    const piece = fc.constantFrom(
      '<Range>',
      '</Range>',
      '0',
      '9-1',
      '<BlockMap>',
      '</BlockMap>',
      '<bmap version="1.0">',
      '-',
      '\0',
    );
    fc.assert(
      fc.property(fc.nat(good.length), fc.nat(40), fc.oneof(piece, fc.string()), (at, cut, text) => {
        try {
          const map = parse(Buffer.from(good.slice(0, at) + text + good.slice(at + cut)));
          for (const { start, length } of map.ranges) expect(start + length).toBeLessThanOrEqual(map.imageSize);
        } catch (error) {
          expect(error).toBeInstanceOf(UserError);
        }
      }),
      { numRuns: 2000 },
    );
  });
});
