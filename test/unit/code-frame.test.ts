import { expect, it } from 'vitest';
import { codeFrame } from '../../src/core/code-frame.ts';

it('a short line is shown whole, with the caret below its column', () => {
  expect(codeFrame('a: 1\nb: 2\n', 2, 4)).toBe('1 | a: 1\n2 | b: 2\n  |    ^');
});

it('of a long line the part around the place is shown, so that the caret is on a screen of 80 columns', () => {
  const source = `name: a\nkey: ${'['.repeat(500)}X${']'.repeat(500)}\n`;
  const [, line = '', caret = ''] = codeFrame(source, 2, source.indexOf('X') - source.indexOf('key') + 1).split('\n');
  expect(caret.indexOf('^')).toBeLessThan(76);
  expect(line[caret.indexOf('^')]).toBe('X');
});
