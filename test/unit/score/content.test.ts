import { describe, expect, it } from 'vitest';
import { answeredBy } from '../../../src/score/content.ts';

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
