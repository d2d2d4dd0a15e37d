import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import type { AnyStage } from '../../src/core/stage.ts';
import { makePlan } from '../../src/plan/plan.ts';
import { stages } from '../../stages/index.ts';

const project = fileURLToPath(new URL('../..', import.meta.url));

/** Code blocks of the page that name a file: "```ts stages/greeting.ts". */
function blocks(): Map<string, string> {
  const page = readFileSync(join(project, 'docs/add-a-stage.md'), 'utf8');
  return new Map([...page.matchAll(/^```\w+ (\S+)\n(.*?)^```$/gms)].map(([, path, text]) => [path ?? '', text ?? '']));
}

describe('docs/add-a-stage.md', () => {
  let root: string;
  let withNew: AnyStage[];

  beforeAll(async () => {
    root = mkdtempSync(join(tmpdir(), 'amslpr-stage-'));
    for (const folder of ['overlays', 'device', 'standin']) {
      cpSync(join(project, folder), join(root, folder), { recursive: true });
    }
    for (const [path, text] of blocks()) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), text.replaceAll("'../src/", `'${project}src/`));
    }
    const { greeting } = (await import(join(root, 'stages/greeting.ts'))) as { greeting: AnyStage };
    withNew = [...stages, greeting];
  });

  afterAll(() => rmSync(root, { recursive: true, force: true }));

  const plan = () => makePlan(loadConfig(join(root, 'config/greeting.yaml'), withNew), withNew, root);

  it('has a stage, its overlay and a configuration', () => {
    expect([...blocks().keys()]).toEqual([
      'stages/greeting.ts',
      'overlays/greeting/etc/update-motd.d/60-amslpr.hbs',
      'config/greeting.yaml',
    ]);
  });

  it('plans its file with the contact', () => {
    const file = plan().files.find(({ path }) => path === '/etc/update-motd.d/60-amslpr');
    expect(file).toMatchObject({ mode: '0755', owner: 'root:root', stage: 'greeting' });
    expect(Buffer.from(file?.bytes ?? []).toString()).toBe(
      "#!/bin/sh\necho 'Call Alex +44 20 7946 0000 about this device.'\n",
    );
  });

  it('plans its checks', () => {
    const ids = plan().checks.map(({ id }) => id);
    expect(ids).toContain('greeting/text');
    expect(ids).toContain('greeting/shown');
  });

  it('refuses a contact that would end the quotes', () => {
    writeFileSync(join(root, 'config/bad.yaml'), "name: bad\ngreeting:\n  contact: it's\n");
    expect(() => loadConfig(join(root, 'config/bad.yaml'), withNew)).toThrow(/greeting/);
  });
});
