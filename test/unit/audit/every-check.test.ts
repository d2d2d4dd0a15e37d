import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { evaluate, isOffline } from '../../../src/audit/evaluate.ts';
import { validateConfig } from '../../../src/config/validate.ts';
import { parseYaml } from '../../../src/config/yaml.ts';
import type { Plan } from '../../../src/core/plan.ts';
import { makePlan } from '../../../src/plan/plan.ts';
import { stages } from '../../../stages/index.ts';
import { breaksOf } from './check-breaks.ts';
import { cloneModel, treeOfModel } from './model.ts';
import { plannedImage } from './planned-image.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));

function planOf(options: string): Plan {
  const source = `name: amslpr\n${options}`;
  const config = validateConfig(parseYaml(source, 'amslpr.yaml'), source, 'amslpr.yaml', stages);
  return makePlan(
    config,
    stages.map((s) => ({ ...s, needs: [] })),
    root,
  );
}

// The defaults with options that only add checks, and options that have other checks in the place of the defaults'.
const usual = planOf('tls:\n  acme: true\n');
const known = new Set(usual.checks.map(({ id }) => id));
const announcing = planOf('mdns:\n  announce: true\n');
const plans = [
  { name: 'usual', plan: usual, checks: usual.checks },
  { name: 'announcing', plan: announcing, checks: announcing.checks.filter(({ id }) => !known.has(id)) },
];

it('the second plan brings the checks of an announced name', () => {
  const ids = plans[1]?.checks.map(({ id }) => id).sort();
  expect(ids).toEqual(['mdns/answers', 'mdns/name-only', 'mdns/on', 'mdns/sandbox']);
});

describe.each(plans)('$name', ({ plan, checks }) => {
  const offline = checks.filter(isOffline);
  const good = plannedImage(plan);

  describe('an image as planned', () => {
    it.each(evaluate(treeOfModel(good), offline).map((result) => [result.id, result] as const))(
      'passes %s',
      (_, result) => {
        expect(result).toMatchObject({ outcome: 'pass', evidence: expect.stringMatching(/\S/) });
      },
    );
  });

  describe.each(offline.map((check) => [check.id, check] as const))('%s', (_, check) => {
    const breaks = breaksOf(check, good);

    it('has a case in which it fails', () => {
      expect(breaks.length).toBeGreaterThan(0);
    });

    it.each(breaks.map((one) => [one.what, one] as const))('fails for: %s', (_what, one) => {
      const broken = cloneModel(good);
      one.apply(broken);
      const [result] = evaluate(treeOfModel(broken), [check]);
      expect(result?.outcome).toBe('fail');
      expect(`${result?.evidence}\n${result?.expected}`).toMatch(one.names);
    });
  });

  describe.each(checks.filter(({ kind }) => kind === 'run').map((check) => [check.id, check] as const))(
    '%s (in the guest)',
    (_, check) => {
      if (check.kind !== 'run') return;
      const matches = [check.matches ?? []].flat();
      const lacks = [check.lacks ?? []].flat();

      it('cannot pass on nothing', () => {
        // A command that is missing or says nothing must not count: by what it says, or by its exit code.
        expect(matches.length + lacks.length + (check.exit === undefined ? 0 : 1)).toBeGreaterThan(0);
        for (const expression of matches) expect('').not.toMatch(expression);
        for (const expression of lacks) expect('').not.toMatch(expression);
      });
    },
  );
});
