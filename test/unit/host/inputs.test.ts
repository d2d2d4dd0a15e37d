import { describe, expect, it } from 'vitest';
import { inputChanges, keyOf } from '../../../src/host/inputs.ts';

describe('the key of what an entry is made of', () => {
  it('does not depend on the order of names', () => {
    const one = keyOf({ a: '1', packages: { x: '1', y: '2' } });
    expect(keyOf({ packages: { y: '2', x: '1' }, a: '1' })).toBe(one);
  });
  it('depends on every name and value', () => {
    const keys = [{ a: '1' }, { a: '2' }, { b: '1' }, { a: { b: '1' } }, { a: '1', b: '' }, { a: { b: '2' } }].map(
      keyOf,
    );
    expect(new Set(keys).size).toBe(keys.length);
  });
});

describe('what changed', () => {
  const digest = 'a'.repeat(64);
  it('names packages with their versions', () => {
    const before = { packages: { nginx: `1.26-1 arm64 ${digest}`, old: `1 all ${digest}`, same: '1' } };
    const now = { packages: { nginx: `1.26-2 arm64 ${digest}`, young: `2 all ${digest}`, same: '1' } };
    expect(inputChanges(before, now)).toEqual(['packages: nginx 1.26-1 -> 1.26-2, old is gone, young is new']);
  });
  it('names files as people know them, and no digests', () => {
    const changes = inputChanges(
      { files: { '/a': digest } },
      { files: { '/a': 'b'.repeat(64) } },
      (p) => `overlays/s${p}`,
    );
    expect(changes).toEqual(['files: overlays/s/a changed']);
  });
  it('shows short values, and that long ones changed', () => {
    expect(inputChanges({ epoch: '1', below: digest }, { epoch: '2', below: 'b'.repeat(64) })).toEqual([
      'epoch: 1 -> 2',
      'below: changed',
    ]);
    expect(inputChanges({ purge: '' }, { purge: 'nano' })).toEqual(['purge: none -> nano']);
  });
  it('counts what does not fit', () => {
    const many = Object.fromEntries(Array.from({ length: 9 }, (_, index) => [`f${index}`, '']));
    expect(inputChanges({ files: {} }, { files: many })[0]).toMatch(/f4 is new, and 4 more$/);
  });
  it('finds nothing in equal inputs', () => expect(inputChanges({ a: { b: 'c' } }, { a: { b: 'c' } })).toEqual([]));
});
