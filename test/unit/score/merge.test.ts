import { describe, expect, it } from 'vitest';
import { mergeReports } from '../../../src/score/merge.ts';

describe('parts of a report', () => {
  const figure = (id: string, text: string) => ({ id, title: id, figure: text, tool: 't', below: [] });
  const part = { subject: 'a', system: 's', machine: 'virt', day: '2026-01-02' };

  it('make one, in the usual order, the later figure instead of the earlier one', () => {
    const whole = mergeReports([
      { ...part, figures: [figure('ports/ipv4', '1'), figure('tls/grade', 'B')] },
      { ...part, day: '2026-01-01', figures: [figure('tls/grade', 'A+'), figure('cost/memory', '3')] },
    ]);
    expect(whole.figures.map((one) => `${one.id} ${one.figure}`)).toEqual([
      'cost/memory 3',
      'tls/grade A+',
      'ports/ipv4 1',
    ]);
    expect(whole.day).toBe('2026-01-01 and 2026-01-02');
  });

  it('of two images make none', () => {
    const two = [part, { ...part, subject: 'b' }].map((one) => ({ ...one, figures: [] }));
    expect(() => mergeReports(two)).toThrow(/two images/);
  });

  it('takes the row about hardware, and no other, of another image that has it', () => {
    const own = { ...part, figures: [figure('units/application', '0.2')] };
    const devices = { ...part, subject: 'b', figures: [figure('units/devices', '1.6'), figure('units/nginx', '9')] };
    expect(mergeReports([own], devices).figures).toEqual([
      figure('units/application', '0.2'),
      { ...figure('units/devices', '1.6'), title: 'units/devices, in b' },
    ]);
    expect(() => mergeReports([own], { ...own, subject: 'b' })).toThrow(/of b has no row/);
    expect(() => mergeReports([own], { ...devices, subject: 'a' })).toThrow(/of a has no row/);
    expect(() => mergeReports([own], { ...devices, system: 'other' })).toThrow(/tried with other/);
  });
});
