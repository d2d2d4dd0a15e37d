import { describe, expect, it } from 'vitest';
import { lynisFigures } from '../../../src/score/measures/lynis.ts';
import { met } from './met.ts';

describe('lynis', () => {
  it('gives its index and its warnings', () => {
    const good = 'hardening_index=91\nlynis_tests_done=250\nsuggestion[]=A-1|Do it|-|-|\n';
    expect(met(lynisFigures(good, 'lynis'))).toEqual({ 'lynis/index': true, 'lynis/warnings': true });
    const bad = lynisFigures('hardening_index=76\nwarning[]=B-2|Bad|-|-|\nsuggestion[]=A-1|Do it|-|-|\n', 'lynis');
    expect(met(bad)).toEqual({ 'lynis/index': false, 'lynis/warnings': false });
    expect(bad.map(({ below }) => below)).toEqual([['A-1 Do it -'], ['B-2 Bad -']]);
  });

  it('that said nothing meets nothing', () => {
    expect(met(lynisFigures('', 'lynis'))).toEqual({ 'lynis/index': false, 'lynis/warnings': false });
  });
});
