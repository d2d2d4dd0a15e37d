import { createHash } from 'node:crypto';
import { UserError } from '../core/errors.ts';

export type HashName = 'sha1' | 'sha256' | 'sha384' | 'sha512';

/** A run of bytes of the image that matters. */
export interface MappedRange {
  readonly start: number;
  readonly length: number;
  /** Lower-case hexadecimal, of the bytes as they are in the image. */
  readonly checksum?: string;
}

/** Which bytes of an image matter; the others may be anything. */
export interface BlockMap {
  readonly imageSize: number;
  readonly blockSize: number;
  readonly hash: HashName;
  /** Ascending, not touching the same block twice; the last one ends with the image at most. */
  readonly ranges: readonly MappedRange[];
}

const MAX_TEXT = 16 * 1024 * 1024;
const MAX_BLOCK = 64 * 1024 * 1024;
const HEX_LENGTH: Readonly<Record<HashName, number>> = { sha1: 40, sha256: 64, sha384: 96, sha512: 128 };
const isHash = (name: string): name is HashName => Object.hasOwn(HEX_LENGTH, name);

const [OPEN, CLOSE] = ['<BlockMap>', '</BlockMap>'];

/** Searched by hand: an expression looks from each opening to the end of the file, hours in a file made for that. */
function withoutComments(text: string): string {
  const kept: string[] = [];
  let at = 0;
  for (;;) {
    const start = text.indexOf('<!--', at);
    const end = start < 0 ? -1 : text.indexOf('-->', start + 4);
    if (end < 0) break;
    kept.push(text.slice(at, start));
    at = end + 3;
  }
  return [...kept, text.slice(at)].join('');
}

/**
 * Reads a block map of format 1.2 to 2.0, as bmaptool and we write it. Nothing in it is trusted: its own checksum, the
 * counts, and that ranges lie in the image and in order are checked.
 * @throws UserError naming what is wrong.
 */
export function parseBmap(bytes: Uint8Array, file: string): BlockMap {
  const fail = (message: string): never => {
    throw new UserError({
      message: `the block map is not usable: ${message}`,
      where: { file },
      hint: 'Fetch it again, or move it away: without a map the whole image is written.',
    });
  };
  if (bytes.length > MAX_TEXT) fail(`it has ${bytes.length} bytes`);
  const original = Buffer.from(bytes).toString('latin1');
  if (/<!(DOCTYPE|ENTITY)/i.test(original)) fail('it declares entities');
  const xml = withoutComments(original);
  const version = /<bmap\s+version\s*=\s*"(\d{1,3})\.(\d{1,3})"\s*>/.exec(xml);
  if (version === null) return fail('it has no <bmap version="..."> element');
  const major = Number(version[1]);
  if (major < 1 || major > 2) fail(`format ${version[1]}.${version[2]} is not known, only 1.x and 2.x are`);

  const field = (name: string): string | undefined => {
    const all = [...xml.matchAll(new RegExp(`<${name}>([^<]{0,4096})</${name}>`, 'g'))];
    if (all.length > 1) fail(`<${name}> is there ${all.length} times`);
    return all[0]?.[1]?.trim();
  };
  const integer = (name: string): number => {
    const value = field(name) ?? '';
    if (!/^\d{1,15}$/.test(value)) fail(`<${name}> is ${JSON.stringify(value)}, not a number`);
    return Number(value);
  };
  const imageSize = integer('ImageSize');
  const blockSize = integer('BlockSize');
  const blocks = integer('BlocksCount');
  const mapped = integer('MappedBlocksCount');
  if (imageSize === 0) fail('the image size is 0');
  if (blockSize < 512 || blockSize > MAX_BLOCK || blockSize % 512 !== 0) fail(`blocks of ${blockSize} bytes`);
  if (blocks !== Math.ceil(imageSize / blockSize)) {
    fail(`${blocks} blocks of ${blockSize} bytes do not make ${imageSize} bytes`);
  }

  const named = field('ChecksumType')?.toLowerCase() ?? 'sha1';
  if (!isHash(named)) return fail(`checksums of type ${JSON.stringify(named)}`);
  const own = field('BmapFileChecksum') ?? field('BmapFileSHA1');
  if (own !== undefined) {
    if (own.length !== HEX_LENGTH[named] || !/^[0-9a-f]+$/.test(own)) fail('its own checksum is malformed');
    // The checksum is taken over the file with its own place filled with the digit 0.
    const blank = original.replace(own, '0'.repeat(own.length));
    const found = createHash(named).update(blank, 'latin1').digest('hex');
    if (found !== own) fail(`its own checksum says ${own.slice(0, 12)}..., its content has ${found.slice(0, 12)}...`);
  } else if (major >= 2) fail('it has no checksum of its own');

  const [opened, closed] = [xml.indexOf(OPEN), xml.lastIndexOf(CLOSE)];
  if (opened < 0 || closed < opened) return fail('it has no <BlockMap>');
  const body = xml.slice(opened + OPEN.length, closed);
  const ranges: MappedRange[] = [];
  let [next, total] = [0, 0];
  const pattern =
    /\s*<Range(?:\s+(chksum|sha1)\s*=\s*"([0-9a-f]*)")?\s*>\s*(\d{1,15})\s*(?:-\s*(\d{1,15})\s*)?<\/Range>/y;
  for (;;) {
    const at = pattern.lastIndex;
    const match = pattern.exec(body);
    if (match === null) {
      const rest = body.slice(at).trim();
      if (rest !== '') fail(`there is no range in ${JSON.stringify(rest.slice(0, 60))}`);
      break;
    }
    const first = Number(match[3]);
    const last = Number(match[4] ?? match[3]);
    if (first < next || last < first || last >= blocks) {
      fail(`the range ${first}-${last} is out of order or outside the ${blocks} blocks of the image`);
    }
    const checksum = match[2];
    if (checksum !== undefined && checksum.length !== HEX_LENGTH[named])
      fail(`the checksum of range ${first} is malformed`);
    const start = first * blockSize;
    const length = Math.min((last + 1) * blockSize, imageSize) - start;
    ranges.push({ start, length, ...(checksum === undefined ? {} : { checksum }) });
    [next, total] = [last + 1, total + last + 1 - first];
  }
  if (total !== mapped) fail(`it says ${mapped} mapped blocks and lists ${total}`);
  return { imageSize, blockSize, hash: named, ranges };
}

/** The map that says that everything matters. */
export function wholeMap(imageSize: number): BlockMap {
  return { imageSize, blockSize: 4096, hash: 'sha256', ranges: [{ start: 0, length: imageSize }] };
}
