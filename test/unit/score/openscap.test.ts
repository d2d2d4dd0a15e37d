import { describe, expect, it } from 'vitest';
import type { Exception } from '../../../src/score/exceptions.ts';
import { profileFigure, readProgress } from '../../../src/score/measures/openscap.ts';

const by = { tool: 'oscap', data: 'today' };

describe('OpenSCAP', () => {
  const profile = { name: 'p', title: 'P', benchmark: 'CIS', goal: { percent: 75, exceptions: 1, applicable: 4 } };
  const results = readProgress(
    ['a:pass', 'b:pass', 'c:pass', 'd:fail', 'e:notchecked', 'f:notapplicable']
      .map((line) => `xccdf_org.ssgproject.content_rule_${line}\n`)
      .join(''),
  );
  const except = (rule: string, profiles = ['p']): Exception => ({ rule, profiles, reason: 'it does not fit here' });
  const figure = (exceptions: readonly Exception[]) => profileFigure(profile, results, exceptions, by);

  it('counts what it could not check as failed, and leaves out what does not apply', () => {
    expect(figure([])).toMatchObject({ met: false, below: ['d', 'e (notchecked)'] });
    expect(figure([]).figure).toBe('60.0 % of 5 rules, 0 exceptions (raw 60.0 % of 5)');
  });

  it('leaves out exceptions of this profile, and says both figures', () => {
    expect(figure([except('d')]).figure).toBe('75.0 % of 4 rules, 1 exceptions (raw 60.0 % of 5)');
    expect(figure([except('d')]).met).toBe(true);
    expect(figure([except('d', ['other'])]).met).toBe(false);
  });

  it('tells of an exception that is not needed where there is no goal either', () => {
    const { goal: _, ...reported } = profile;
    expect(profileFigure(reported, results, [except('d')], by).met).toBeUndefined();
    expect(profileFigure(reported, results, [except('a')], by)).toMatchObject({
      met: false,
      below: expect.arrayContaining(['a: the exception is not needed']),
    });
  });

  it('takes no exception that is not needed, no more of them than allowed, and no profile that judged too little', () => {
    expect(figure([except('a')])).toMatchObject({
      met: false,
      below: expect.arrayContaining(['a: the exception is not needed']),
    });
    expect(figure([except('d'), except('e')]).met).toBe(false);
    expect(
      profileFigure({ ...profile, goal: { ...profile.goal, applicable: 6 } }, results, [except('d')], by).met,
    ).toBe(false);
  });
});
