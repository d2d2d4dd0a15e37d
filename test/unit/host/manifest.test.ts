import { describe, expect, it } from 'vitest';
import { compareManifests } from '../../../src/host/manifest.ts';

type Line = readonly [path: string, facts: string, place?: string, target?: string];
const stat = (...lines: readonly Line[]): string =>
  lines
    .map(([path, facts, place = '1 1.0', target = '']) => `${path}\u0001${facts}\u0001${place}\u0001${target}\0`)
    .join('');
const sums = (...lines: readonly (readonly [string, string])[]): string =>
  lines.map(([path, digit]) => `${digit.repeat(64)}  ./${path}\0`).join('');

const whole = {
  stat: stat(['', 'd 755 0 0 4096 5.0 3'], ['bin', 'f 755 0 0 10 5.0 1'], ['sh', 'l 777 0 0 3 5.0 1', '2 1.0', 'bin']),
  sums: sums(['bin', 'a']),
};
const changed = (line: Line, digit = 'a') => ({
  stat: stat(['', 'd 755 0 0 4096 5.0 3'], line, ['sh', 'l 777 0 0 3 5.0 1', '2 1.0', 'bin']),
  sums: sums(['bin', digit]),
});

describe('an entry of the cache', () => {
  it('is whole on another disk, with other inode numbers and folder sizes', () => {
    const moved = {
      stat: stat(
        ['', 'd 755 0 0 60 5.0 1'],
        ['bin', 'f 755 0 0 10 5.0 1', '77 9.0'],
        ['sh', 'l 777 0 0 3 5.0 1', '78 9.0', 'bin'],
      ),
      sums: sums(['bin', 'a']),
    };
    expect(compareManifests(whole, moved)).toEqual([]);
  });
  it.each([
    [
      'other content of equal size and time',
      changed(['bin', 'f 755 0 0 10 5.0 1'], 'b'),
      ['bin: its content was changed'],
    ],
    ['another mode', changed(['bin', 'f 4755 0 0 10 5.0 1']), ['bin: its mode was changed']],
    ['another owner and time', changed(['bin', 'f 755 5 0 10 6.0 1']), ['bin: its owner, time were changed']],
    [
      'another target',
      { ...whole, stat: whole.stat.replace('\u0001bin\0', '\u0001etc\0') },
      ['sh: its target was changed'],
    ],
    [
      'a missing file',
      { stat: stat(['', 'd 755 0 0 4096 5.0 3'], ['sh', 'l 777 0 0 3 5.0 1', '2 1.0', 'bin']), sums: '' },
      ['bin: missing'],
    ],
    ['one more', { ...whole, stat: `${whole.stat}${stat(['x', 'f 644 0 0 0 5.0 1'])}` }, ['x: was not there before']],
  ])('is damaged by %s', (_, now, damage) => expect(compareManifests(whole, now)).toEqual(damage));
});
