import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { evaluate, isOffline } from '../../../src/audit/evaluate.ts';
import { validateConfig } from '../../../src/config/validate.ts';
import { parseYaml } from '../../../src/config/yaml.ts';
import { makePlan } from '../../../src/plan/plan.ts';
import { stages } from '../../../stages/index.ts';
import { cloneModel, treeOfModel } from '../audit/model.ts';
import { plannedImage } from '../audit/planned-image.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const SIGNERS = '/usr/share/amslpr/site-signers';
const KEY = `AAAAC3NzaC1lZDI1NTE5AAAAI${'Ab+/'.repeat(10)}abc`;

const configOf = (source: string) => validateConfig(parseYaml(source, 'amslpr.yaml'), source, 'amslpr.yaml', stages);

function planWith(signers: readonly string[]) {
  const source = `name: amslpr\nsite:\n  signers: ${JSON.stringify(signers)}\n`;
  const given = stages.map((stage) => ({ ...stage, needs: [] }));
  return makePlan(configOf(source), given, root);
}

describe('site.signers', () => {
  it('is a list that ssh-keygen takes, in one namespace', () => {
    const { files } = planWith([KEY]);
    const found = files.find(({ path }) => path === SIGNERS);
    expect(Buffer.from(found?.bytes ?? []).toString()).toBe(`site namespaces="amslpr-site" ssh-ed25519 ${KEY}\n`);
  });

  it('has a check that sees a key more, and none at all', () => {
    const plan = planWith([KEY]);
    const checks = plan.checks.filter(isOffline).filter(({ id }) => id === 'site/signers');
    const good = plannedImage(plan);
    expect(evaluate(treeOfModel(good), checks).map(({ outcome }) => outcome)).toEqual(['pass']);
    const other = plannedImage(planWith([KEY, KEY.replace('abc', 'abd')]));
    expect(evaluate(treeOfModel(other), checks).map(({ outcome }) => outcome)).toEqual(['fail']);
    const none = cloneModel(plannedImage(planWith([])));
    expect(evaluate(treeOfModel(none), checks).map(({ outcome }) => outcome)).toEqual(['fail']);
  });

  it.each(['ssh-ed25519 AAAA', `${KEY}=`, KEY.slice(1), 'AAAAB3NzaC1yc2EAAAADAQABAAABAQ'])('refuses %s', (key) => {
    expect(() => configOf(`name: amslpr\nsite:\n  signers: [${JSON.stringify(key)}]\n`)).toThrow();
  });
});
