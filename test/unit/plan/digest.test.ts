import { expect, it } from 'vitest';
import { canonicalJson, digestOf, sha256 } from '../../../src/plan/digest.ts';

it('takes bytes by their checksum, whatever kind of array they are in', () => {
  const wanted = `{"bytes":{"sha256":"${sha256('abc')}"}}`;
  expect(canonicalJson({ bytes: Buffer.from('abc') })).toBe(wanted);
  expect(canonicalJson({ bytes: new Uint8Array([97, 98, 99]) })).toBe(wanted);
});

it('knows no order of keys, and one of lists', () => {
  expect(canonicalJson({ b: [2, 1], a: { d: undefined, c: null } })).toBe('{"a":{"c":null},"b":[2,1]}');
  expect(digestOf({ a: 1, b: 2 })).toBe(digestOf({ b: 2, a: 1 }));
  expect(digestOf([1, 2])).not.toBe(digestOf([2, 1]));
});

it('tells expressions apart', () => {
  expect(canonicalJson([/a/i, /a/])).toBe('["/a/i","/a/"]');
});
