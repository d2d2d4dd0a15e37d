import { describe, expect, it } from 'vitest';
import { lynisFigures } from '../../../src/score/measures/lynis.ts';
import { met } from './met.ts';

const by = { tool: 'lynis' };

describe('lynis', () => {
  it('gives its index and its warnings', () => {
    const good = 'hardening_index=91\nlynis_tests_done=250\nsuggestion[]=A-1|Do it|-|-|\n';
    expect(met(lynisFigures(good, '', [], by))).toEqual({ 'lynis/index': true, 'lynis/warnings': true });
    const log = [
      'Performing test ID C-3 (Check)',
      'Hardening: assigned maximum number of hardening points for this item (3). Currently having 3 points (out of 3)',
      'Performing test ID D-4 (Check)',
      'Hardening: assigned partial number of hardening points (1 of 3). Currently having 4 points (out of 6)',
    ].join('\n');
    const bad = lynisFigures('hardening_index=76\nwarning[]=B-2|Bad|-|-|\nsuggestion[]=A-1|Do it|-|-|\n', log, [], by);
    expect(met(bad)).toEqual({ 'lynis/index': false, 'lynis/warnings': false });
    expect(bad.map(({ below }) => below)).toEqual([['D-4: 1 of 3 points', 'A-1 Do it -'], ['B-2 Bad -']]);
    expect(bad[0]?.figure).toBe('76, 0 tests, 4 of 6 points');
  });

  it('holds an exception against it whose test loses no points', () => {
    const log = ['USB-3000', 'USB-2000', 'A-1'].flatMap((test, index) => [
      `Performing test ID ${test} (Check)`,
      index === 1
        ? 'Hardening: assigned maximum number of hardening points for this item (3). Currently having 3 points (out of 11)'
        : 'Hardening: assigned partial number of hardening points (0 of 8). Currently having 0 points (out of 8)',
    ]);
    const judge = (rule: string) => {
      const exceptions = [{ rule, profiles: [], reason: 'it does not fit here' }];
      return lynisFigures('hardening_index=91\n', log.join('\n'), exceptions, by)[0];
    };
    expect(judge('USB-3000')).toMatchObject({ met: true, below: [] });
    expect(judge('USB-2000')).toMatchObject({ met: false, below: ['USB-2000: the exception is not needed'] });
    expect(judge('USB-300')?.met).toBe(false);
  });

  it('that said nothing meets nothing', () => {
    expect(met(lynisFigures('', '', [], by))).toEqual({ 'lynis/index': false, 'lynis/warnings': false });
  });
});
