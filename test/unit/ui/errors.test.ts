import { describe, expect, it } from 'vitest';
import { StepError, UserError } from '../../../src/core/errors.ts';
import { describeError } from '../../../src/ui/errors.ts';
import { paintWith } from '../../../src/ui/text.ts';

const style = { paint: paintWith(false), width: 80 };

describe('an error', () => {
  it('for users has message, place, frame and hint, and no stack', () => {
    const problem = {
      message: 'Wrong',
      where: { file: 'a.yaml', line: 2, column: 3 },
      frame: '2 | x\n  | ^',
      hint: 'Do better',
    };
    expect(describeError(new UserError(problem), style)).toEqual({
      text: 'error: Wrong\n  --> a.yaml:2:3\n  2 | x\n    | ^\n  Do better\n',
      code: 2,
    });
  });

  it('counts when there are several', () => {
    expect(describeError(new UserError([{ message: 'A' }, { message: 'B' }]), style).text).toBe(
      'error: A\n\nerror: B\n\n2 problems.\n',
    );
  });

  it('of a step exits with 1, an interrupt with 130, and what a verb says with that', () => {
    expect(describeError(new StepError('x'), style).code).toBe(1);
    expect(describeError(new UserError('x', { exitCode: 3 }), style).code).toBe(3);
    expect(describeError(AbortSignal.abort().reason, style)).toEqual({ text: 'Interrupted.\n', code: 130 });
  });

  it.each([
    ['ENOSPC', 'write', 'the disk is full'],
    ['EROFS', 'mkdir', 'the file system is read-only'],
    ['EACCES', 'open', 'this user may not do that'],
  ])('of the host (%s) is told without a stack', (code, syscall, reason) => {
    const thrown = Object.assign(new Error(code), { code, syscall, path: 'out/a.img' });
    expect(describeError(thrown, style)).toEqual({
      text: `error: out/a.img: ${reason} (${syscall}, ${code})\n`,
      code: 1,
    });
  });

  it('shows nothing of a file that a terminal obeys', () => {
    const problem = { message: 'a\x1b[31mb', frame: '1 | x\x9b2J\u202ey\n  | ^', hint: 'c\x07d' };
    expect(describeError(new UserError(problem), style).text).toBe(
      'error: a\ufffd[31mb\n  1 | x\ufffd2J\ufffdy\n    | ^\n  c\ufffdd\n',
    );
  });

  it('that is a bug keeps its stack', () => {
    const { text, code } = describeError(new TypeError('oops'), style);
    expect(code).toBe(1);
    expect(text).toMatch(/^This is a bug of amslpr-image: TypeError: oops\n\s+at /);
    expect(describeError('thrown text', style).text).toContain('thrown text');
  });

  it('stays within the width', () => {
    const problem = { message: 'long '.repeat(50), frame: `1 | ${'x'.repeat(200)}\n  | ^`, hint: 'hint '.repeat(50) };
    const lines = describeError(new UserError(problem), style).text.split('\n');
    expect(lines.filter((line) => line.length > 80)).toEqual([]);
  });

  it('is an annotation on GitHub', () => {
    const problem = { message: '100% wrong', where: { file: 'a,b.yaml', line: 2, column: 3 } };
    const { text } = describeError(new UserError(problem), { ...style, github: true });
    expect(text).toContain('::error file=a%2Cb.yaml,line=2,col=3::100%25 wrong\n');
  });
});
