import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../../src/config/load.ts';
import { parseYaml } from '../../../src/config/yaml.ts';
import { makePlan } from '../../../src/plan/plan.ts';
import { stages } from '../../../stages/index.ts';

const root = join(import.meta.dirname, '../../..');
const folder = join(root, 'config');

/** What has a `name` is a configuration; lock files and the exceptions of scanners have none. */
const configurations = readdirSync(folder)
  .filter((file) => file.endsWith('.yaml'))
  .filter((file) => Object.hasOwn(parseYaml(readFileSync(join(folder, file), 'utf8'), file).value as object, 'name'));

describe('the configurations of this project', () => {
  it('are found', () => expect(configurations).toEqual(['amslpr.yaml', 'plain.yaml']));

  it.each(configurations)('%s validates and plans', (file) => {
    const plan = makePlan(loadConfig(join(folder, file), stages), stages, root);
    expect(plan.files.length).toBeGreaterThan(0);
  });

  it('plain.yaml has only the stages that no image starts without', () => {
    const config = loadConfig(join(folder, 'plain.yaml'), stages);
    const kept = stages.map(({ name }) => name).filter((name) => config.stages[name] !== false);
    expect(kept).toEqual(['base-system', 'mounts', 'boot-files']);
  });
});
