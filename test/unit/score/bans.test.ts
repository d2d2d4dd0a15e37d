import { describe, expect, it } from 'vitest';
import { bansFigure, secondsToBan } from '../../../src/score/measures/bans.ts';

describe('guessing', () => {
  const tries = (...said: string[]) => said.map((one, index) => ({ begin: index * 4, end: index * 4 + 1, said: one }));
  const [yes, no] = ['answered', 'refused: timed out'];
  const all = ['fail2ban', 'penalties', 'ufw limit', 'nginx limits'] as const;
  const others = tries(yes, yes);

  it('counts from the end of the last allowed try', () => {
    expect(secondsToBan(tries(yes, yes, yes, yes, no))).toBe(7);
    expect(secondsToBan(tries(yes, no))).toBe(0);
    expect(secondsToBan(tries(yes, yes, yes, 'limited'))).toBeUndefined();
  });

  it('wants a ban in time, and another client served', () => {
    const one = { kind: 'ssh', version: 4, on: all } as const;
    expect(bansFigure({ ...one, tries: tries(yes, yes, yes, no), others })).toMatchObject({ met: true });
    expect(bansFigure({ ...one, tries: tries(yes, yes, yes, yes, yes, yes, no), others })).toMatchObject({
      met: false,
    });
    expect(bansFigure({ ...one, tries: tries(yes, yes, yes, yes), others })).toMatchObject({ met: false });
    expect(bansFigure({ ...one, tries: tries(yes, yes, yes, no), others: tries(yes, no) })).toMatchObject({
      met: false,
    });
  });

  it('of a limit alone wants that it stops', () => {
    const one = { kind: 'web', version: 6, on: ['nginx limits'], others } as const;
    expect(bansFigure({ ...one, tries: tries(yes, 'limited', 'limited') })).toMatchObject({
      met: true,
      figure: 'stopped after 1 tries',
    });
    expect(bansFigure({ ...one, tries: tries(yes, yes) })).toMatchObject({ met: false });
  });
});
