import { describe, expect, it } from 'vitest';
import { answeredBy, dataOf } from '../../../src/score/content.ts';

const id = 'xccdf_org.ssgproject.content';
const select = (...rules: readonly string[]): string =>
  rules.map((rule) => `<x:select idref="${id}_rule_${rule}" selected="true"/>`).join('');
const chosen = (value: string, selector: string): string =>
  `<x:refine-value idref="${id}_value_${value}" selector="${selector}"/>`;
const profile = (name: string, text: string): string => `<x:Profile id="${id}_profile_${name}">${text}</x:Profile>`;
const rule = (name: string, ...values: readonly string[]): string =>
  `<x:Rule selected="false" id="${id}_rule_${name}">${values.map((value) => `<x:check-export export-name="o" value-id="${id}_value_${value}"/>`).join('')}</x:Rule>`;

describe('one run for two profiles', () => {
  const rules = rule('plain') + rule('long', 'length') + rule('old', 'age') + rule('own');

  it('answers for rules that both have, judged by the same values', () => {
    const content =
      profile('small', select('plain', 'long', 'old', 'own') + chosen('length', '14')) +
      profile('large', select('plain', 'long', 'old') + chosen('length', '14') + chosen('age', '1')) +
      rules;
    const { same, others } = answeredBy(content, 'small', 'large');
    expect([...same]).toEqual(['plain', 'long']);
    expect(others).toEqual(['old', 'own']);
  });

  it('does not answer for a rule whose text is not there, and says when a profile is missing', () => {
    const both = profile('small', select('lost')) + profile('large', select('lost'));
    expect(answeredBy(both, 'small', 'large').others).toEqual(['lost']);
    expect(() => answeredBy(both, 'small', 'none')).toThrow(/no profile none/);
  });
});

it('rules are dated by the content', () => {
  const stream = '<ds:data-stream id="d" scap-version="1.3" timestamp="2026-09-07T19:17:46">';
  const content =
    stream +
    profile('cis', '<x:version>1.0.0</x:version>Debian 13 Benchmark™, v1.0.0, released 2025-12-16.') +
    profile('anssi', 'align to ANSSI-BP-028 v2.0 at the enhanced hardening level.');
  expect(dataOf(content, 'cis', 'CIS')).toBe('CIS 1.0.0 of 2025-12-16, content of 2026-09-07');
  expect(dataOf(content, 'anssi', 'BP-028')).toBe('BP-028 2.0, content of 2026-09-07');
  expect(() => dataOf(content.slice(stream.length), 'cis', 'CIS')).toThrow(/does not date the profile cis/);
});
