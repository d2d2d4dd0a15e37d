import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  linkSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { silent } from '../../../src/core/log.ts';
import { parseSize } from '../../../src/flash/choose.ts';
import { type FlashOptions, flash } from '../../../src/flash/flash.ts';
import { hostRunner } from '../../../src/host/runner.ts';

// These move many megabytes: a busy machine takes more than the usual five seconds.
vi.setConfig({ testTimeout: 60_000 });

const MIB = 1024 * 1024;
const root = mkdtempSync(join(tmpdir(), 'flash-test-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

function entry(head: Buffer, slot: number, type: number, startMib: number, sizeMib: number): void {
  const at = 446 + (slot - 1) * 16;
  head.writeUInt8(type, at + 4);
  head.writeUInt32LE(startMib * 2048, at + 8);
  head.writeUInt32LE(sizeMib * 2048, at + 12);
  head.writeUInt16BE(0x55aa, 510);
}

/** An image of 20 MiB with two partitions of noise and a hole between them. */
function makeImage(): Buffer {
  const image = Buffer.alloc(20 * MIB);
  entry(image, 1, 0x0c, 4, 4);
  entry(image, 2, 0x83, 8, 12);
  randomBytes(4 * MIB).copy(image, 4 * MIB);
  randomBytes(8 * MIB).copy(image, 12 * MIB);
  return image;
}

/** Where the data of a used card starts and ends, in MiB: behind the image, and the 32 MiB that root keeps free. */
const DATA = 56;
const END = 86;

/** The start of a card with a container of ours in partition 4. */
function makeUsed(label = 'amslpr-data', data = DATA): Buffer {
  const card = Buffer.alloc(88 * MIB, 0x5a);
  card.fill(0, 0, MIB);
  entry(card, 1, 0x0c, 4, 4);
  entry(card, 2, 0x83, 8, 16);
  entry(card, 4, 0x83, data, END - data);
  for (const [at, magic] of [
    [0, 'LUKS\xba\xbe'],
    [16384, 'SKUL\xba\xbe'],
  ] as const) {
    const header = card.subarray(data * MIB + at, data * MIB + at + 4096).fill(0);
    header.write(magic, 0, 'latin1');
    header.writeUInt16BE(2, 6);
    header.write(label, 24);
    header.write('01234567-89ab-cdef-0123-456789abcdef', 168);
    header.write('gate-old', 208);
  }
  return card;
}

const image = makeImage();
const file = join(root, 'a.img');
writeFileSync(file, image);
execFileSync('zstd', ['-q', file, '-o', join(root, 'b.img.zst')]);
execFileSync('xz', ['-0k', file]);

const card = join(root, 'card.img');
const run = (options: Partial<FlashOptions> = {}) =>
  flash(
    { image: file, device: card, yes: true, save: join(root, 'saved'), ...options },
    { runner: hostRunner, log: silent },
  );
const isWhole = (): boolean => readFileSync(card).subarray(0, image.length).equals(image);

beforeEach(() => {
  rmSync(card, { force: true });
  rmSync(join(root, 'saved'), { recursive: true, force: true });
});

describe('flashing to a file', () => {
  it.each(['a.img', 'b.img.zst', 'a.img.xz'])('writes %s', async (name) => {
    await run({ image: join(root, name), create: 64 * MIB });
    expect(isWhole()).toBe(true);
    expect(statSync(card).size).toBe(64 * MIB);
  });

  it('asks nothing about a file that it makes, and leaves none behind that it could not fill', async () => {
    const context = { runner: hostRunner, log: silent };
    await expect(run({ create: MIB })).rejects.toThrow('is too small');
    const damaged = join(root, 'damaged.img.zst');
    writeFileSync(damaged, readFileSync(join(root, 'b.img.zst')).subarray(0, 5 * MIB));
    execFileSync('bmaptool', ['create', '-o', `${damaged}.bmap`, file]);
    await expect(run({ image: damaged, create: 64 * MIB })).rejects.toThrow('cannot be unpacked');
    expect(readdirSync(root)).not.toContain('card.img');
    await flash({ image: file, device: card, create: 64 * MIB }, context);
    expect(isWhole()).toBe(true);
  });

  it('puts zeros where a sparse image has holes and the card had something', async () => {
    const sparse = join(root, 'sparse.img');
    execFileSync('cp', ['--sparse=always', file, sparse]);
    writeFileSync(card, Buffer.alloc(32 * MIB, 0xff));
    await run({ image: sparse });
    expect(isWhole()).toBe(true);
  });

  it('refuses what is too small, missing, a folder, or the image itself', async () => {
    writeFileSync(card, '');
    truncateSync(card, image.length - 1);
    await expect(run()).rejects.toThrow('the image needs');
    await expect(run({ device: join(root, 'none') })).rejects.toThrow('is not there');
    await expect(run({ device: root })).rejects.toThrow('neither a disk nor a file');
    await expect(run({ device: '/dev/null' })).rejects.toThrow('neither a disk nor a file');
    linkSync(file, join(root, 'link.img'));
    await expect(run({ device: join(root, 'link.img') })).rejects.toThrow('is the image itself');
  });

  it('asks for the name, and writes nothing when another is typed', async () => {
    writeFileSync(card, Buffer.alloc(24 * MIB, 7));
    const options = { image: file, device: card };
    const context = { runner: hostRunner, log: silent };
    await expect(flash(options, context)).rejects.toThrow('nobody can be asked');
    await expect(flash(options, { ...context, ask: async () => '/dev/sdz' })).rejects.toThrow('nothing was written');
    expect(readFileSync(card).every((byte) => byte === 7)).toBe(true);
    await flash(options, { ...context, ask: async () => card });
    expect(isWhole()).toBe(true);
  });

  it('refuses a map of another image, and an archive', async () => {
    writeFileSync(card, Buffer.alloc(24 * MIB));
    const packed = join(root, 'c.img.gz');
    writeFileSync(packed, Buffer.from('1f8b08000000', 'hex'));
    await expect(run({ image: packed })).rejects.toThrow('packed with gzip');
    const other = join(root, 'd.img');
    writeFileSync(other, image);
    writeFileSync(
      `${other}.bmap`,
      '<bmap version="1.2"><ImageSize>8192</ImageSize><BlockSize>4096</BlockSize><BlocksCount>2</BlocksCount><MappedBlocksCount>1</MappedBlocksCount><BlockMap><Range>0</Range></BlockMap></bmap>',
    );
    await expect(run({ image: other })).rejects.toThrow('is for an image of 8192 bytes');
  });

  it('leaves no partition table when the packed image is cut short', async () => {
    const cut = join(root, 'cut.img.zst');
    const whole = readFileSync(join(root, 'b.img.zst'));
    writeFileSync(cut, whole.subarray(0, whole.length - 100));
    writeFileSync(card, Buffer.alloc(24 * MIB, 7));
    await expect(run({ image: cut })).rejects.toThrow('cannot be unpacked');
    expect(readFileSync(card).subarray(0, 512).equals(image.subarray(0, 512))).toBe(false);
  });

  it('stops when it is told to, and can be started again', async () => {
    writeFileSync(card, Buffer.alloc(24 * MIB, 7));
    const abort = new AbortController();
    const log = (entry: { kind: string }) => entry.kind === 'progress' && abort.abort();
    const stopped = flash({ image: file, device: card, yes: true }, { runner: hostRunner, log, signal: abort.signal });
    await expect(stopped).rejects.toThrow('abort');
    expect(readFileSync(card).subarray(0, 512).equals(Buffer.alloc(512))).toBe(true);
    await run();
    expect(isWhole()).toBe(true);
  });
});

it('stops while it reads a packed image once to learn its size', async () => {
  const abort = new AbortController();
  abort.abort();
  const options = { image: join(root, 'b.img.zst'), device: join(root, 'none') };
  await expect(flash(options, { runner: hostRunner, log: silent, signal: abort.signal })).rejects.toThrow('abort');
});

describe('a card that was used before', () => {
  const used = makeUsed();

  it('is not written without a word about its data, which is saved', async () => {
    writeFileSync(card, used);
    await expect(run()).rejects.toThrow('holds encrypted data');
    await expect(run()).rejects.toThrow('holds encrypted data');
    expect(readFileSync(card).equals(used)).toBe(true);
    expect(readdirSync(join(root, 'saved'))).toEqual(['amslpr-card-01234567-89ab-cdef-0123-456789abcdef']);
  });

  it('keeps its data partition, byte for byte, and its header is saved', async () => {
    writeFileSync(card, used);
    const { saved } = await run({ data: 'keep' });
    const now = readFileSync(card);
    expect(now.subarray(DATA * MIB, END * MIB).equals(used.subarray(DATA * MIB, END * MIB))).toBe(true);
    expect(now.subarray(494, 510).equals(used.subarray(494, 510))).toBe(true);
    expect(now.subarray(MIB, image.length).equals(image.subarray(MIB))).toBe(true);
    const header = readFileSync(join(saved ?? '', 'luks-header.img'));
    expect(header.equals(used.subarray(DATA * MIB, (DATA + 16) * MIB))).toBe(true);
    expect(statSync(saved ?? '').mode & 0o777).toBe(0o700);
  });

  it.each([
    ['reaches into its place', DATA - 2],
    ['has a partition that does', DATA + 2],
    ['has a partition 4 of its own', 0],
  ])('is not written when the image %s and its data is to be kept', async (_, megabytes) => {
    const large = Buffer.alloc((DATA + (megabytes === DATA + 2 ? 4 : 8)) * MIB);
    entry(large, 1, 0x0c, 4, 4);
    if (megabytes === 0) entry(large, 4, 0x83, 8, 4);
    else entry(large, 2, 0x83, 8, megabytes - 8);
    writeFileSync(join(root, 'large.img'), large);
    writeFileSync(card, used);
    const options = { image: join(root, 'large.img'), data: 'keep' } as const;
    await expect(run(options)).rejects.toThrow('the image reaches into its place');
    expect(readFileSync(card).equals(used)).toBe(true);
  });

  it('is not written when the device would refuse to adopt its data, for want of room behind root', async () => {
    const near = makeUsed('amslpr-data', 51);
    writeFileSync(card, near);
    await expect(run({ data: 'keep' })).rejects.toThrow(/root needs 32 MiB/);
    expect(readFileSync(card).equals(near)).toBe(true);
  });

  it('is noticed by the second header alone, with the name of its device', async () => {
    const torn = Buffer.from(used).fill(0, DATA * MIB, DATA * MIB + 4096);
    writeFileSync(card, torn);
    await expect(run()).rejects.toThrow('encrypted data of gate-old');
    expect(readFileSync(card).equals(torn)).toBe(true);
  });

  it.each([
    ['keep', 'keep'],
    ['keep', 'erase'],
    ['erase', 'adopt'],
  ] as const)('is not written with %s when the site file says %s', async (data, existing) => {
    const site = join(root, `${existing}.yaml`);
    const text = readFileSync(join(import.meta.dirname, '../../fixtures/sites/good/base.yaml'), 'utf8');
    writeFileSync(site, text.replace(/existing: \w+/, `existing: ${existing}`));
    writeFileSync(card, used);
    await expect(run({ data, site })).rejects.toThrow(
      `--${data}-data, and the site file says \`existing: ${existing}\``,
    );
    expect(readFileSync(card).equals(used)).toBe(true);
  });

  it('loses its header when its data is to be erased', async () => {
    writeFileSync(card, used);
    await run({ data: 'erase' });
    expect(
      readFileSync(card)
        .subarray(DATA * MIB, (DATA + 16) * MIB)
        .every((byte) => byte === 0),
    ).toBe(true);
    expect(isWhole()).toBe(true);
  });

  it('is told from one of others, and keeping nothing is refused', async () => {
    writeFileSync(card, makeUsed('backup'));
    await expect(run({ data: 'keep' })).rejects.toThrow('no data of ours');
    await run();
    expect(isWhole()).toBe(true);
  });

  it('is found again after an interrupted run', async () => {
    writeFileSync(card, used);
    const abort = new AbortController();
    const log = (entry: { kind: string }) => entry.kind === 'progress' && abort.abort();
    const options = { image: file, device: card, yes: true, data: 'keep', save: join(root, 'saved') } as const;
    await expect(flash(options, { runner: hostRunner, log, signal: abort.signal })).rejects.toThrow('abort');
    await expect(run()).rejects.toThrow('holds encrypted data');
    await run({ data: 'keep' });
    expect(
      readFileSync(card)
        .subarray(DATA * MIB, END * MIB)
        .equals(used.subarray(DATA * MIB, END * MIB)),
    ).toBe(true);
  });
});

describe('sizes', () => {
  it.each([
    ['8G', 8 * 2 ** 30],
    ['4GB', 4e9],
    ['512', 512],
    ['500M', 500 * MIB],
  ])('%s', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });
  it.each(['', '8X', '-1', '1e9', '99999999999T'])('%j is none', (text) => {
    expect(() => parseSize(text)).toThrow();
  });
});
