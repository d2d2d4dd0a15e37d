import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { configFromText } from '../../../src/config/load.ts';
import { decode, MAX_BYTES } from '../../../src/config/yaml.ts';
import { UserError } from '../../../src/core/errors.ts';
import { stages } from '../../../stages/index.ts';

const FILE = 'amslpr.yaml';

/** Reads bytes as a file's content: a configuration comes out, or an error for users whose places are in the text. */
function read(bytes: Uint8Array): 'accepted' | 'refused' {
  try {
    const { name, stages: options } = configFromText(decode(bytes, FILE), FILE, stages);
    expect(name).toMatch(/^[a-z0-9.-]+$/);
    expect(Object.keys(options)).toEqual(stages.map((stage) => stage.name));
    return 'accepted';
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    expect(error.exitCode).toBe(2);
    expect(error.problems.length).toBeGreaterThan(0);
    const lines = Buffer.from(bytes).toString().split('\n').length;
    for (const { message, where } of error.problems) {
      expect(message).toMatch(/\S/);
      expect(where?.line ?? 1).toBeLessThanOrEqual(lines);
    }
    return 'refused';
  }
}

/** Pieces that mean something to YAML or to us, in any order. */
const piece = fc.oneof(
  fc.constantFrom(
    ...['\n', ' ', '  ', ': ', ':', '- ', '? ', '|', '>', '&a', '*a', '<<', '!!str ', '# ', '---\n', '...\n'],
  ),
  fc.constantFrom(
    ...['[', ']', '{', '}', ',', '"', "'", '\\', '%', '\t', '\r\n', '~', 'null', 'true', 'no', '0600', '1e9'],
  ),
  fc.constantFrom(...stages.map((stage) => stage.name), 'name', 'base', 'port', 'logging', '__proto__', 'toString'),
  fc.string({ unit: 'binary', maxLength: 4 }),
);

describe('any content', { timeout: 60_000 }, () => {
  it('of pieces of YAML is read or refused', () => {
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
        read(Buffer.from(pieces.join('')));
      }),
      { numRuns: 3000 },
    );
  });

  it('of bytes is read or refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        read(bytes);
      }),
      { numRuns: 2000 },
    );
  });

  it('that is JSON is read or refused', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 6 }), (json) => {
        read(Buffer.from(json));
      }),
      { numRuns: 1000 },
    );
  });

  it('changes nothing in what every object has', () => {
    read(Buffer.from('__proto__: {polluted: true}\nconstructor: {prototype: {polluted: true}}\n'));
    expect(Reflect.get({}, 'polluted')).toBeUndefined();
  });
});

describe('hostile content', { timeout: 60_000 }, () => {
  const limit = (make: () => Uint8Array) => {
    const bytes = make();
    // Of the processor, not of the clock: other work of the host says nothing about ours.
    const started = process.cpuUsage();
    expect(read(bytes)).toBe('refused');
    expect(process.cpuUsage(started).user).toBeLessThan(2_000_000);
  };
  const full = (text: string): Uint8Array => Buffer.from(text.repeat(Math.floor(MAX_BYTES / text.length)));

  it.each([
    ['10 MB', () => Buffer.alloc(10_000_000, 'a: 1\n')],
    ['10,000 levels of lists', () => Buffer.from('['.repeat(10_000))],
    ['10,000 levels of maps', () => Buffer.from('{a: '.repeat(10_000))],
    ['10,000 levels of block lists', () => Buffer.from('- '.repeat(10_000))],
    ['10,000 levels of keys', () => Buffer.from('? '.repeat(10_000))],
    [
      '10,000 levels of indentation',
      () => Buffer.from(Array.from({ length: 700 }, (_, i) => `${' '.repeat(i)}a:\n`).join('')),
    ],
    ['a full file of unknown keys', () => Buffer.from(Array.from({ length: 22_000 }, (_, i) => `k${i}: 1\n`).join(''))],
    ['a full file of one key', () => full('name: a\n')],
    ['a full file of aliases', () => full('- *a\n')],
    ['a full file of anchors', () => full('- &a b\n')],
    ['a full file of documents', () => full('---\n')],
    ['a full file of quotes', () => full('"')],
    ['a full file of tabs', () => full('\ta: 1\n')],
    ['a full line', () => full('a')],
    ['a full list of wrong entries', () => Buffer.from(`services:\n  allow:\n${'    - 1\n'.repeat(25_000)}`)],
    [
      'a full map in a stage',
      () => Buffer.from(`sshd: {${Array.from({ length: 20_000 }, (_, i) => `k${i}: 1`).join(', ')}}\n`),
    ],
    [
      'a billion laughs',
      () =>
        Buffer.from(
          `a: &a [x]\n${[...'bcdefghij'].map((c, i) => `${c}: &${c} [${`*${'abcdefghi'[i]}, `.repeat(9)}]\n`).join('')}`,
        ),
    ],
  ])('%s is refused within two seconds', (_what, make) => limit(make));
});
