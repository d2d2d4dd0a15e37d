import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { UserError } from '../../../src/core/errors.ts';
import type { Plan } from '../../../src/core/plan.ts';
import { run, text } from '../../../src/core/shorthand.ts';
import type { AnyStage } from '../../../src/core/stage.ts';
import { makePlan } from '../../../src/plan/plan.ts';
import { recordOf } from '../../../src/plan/record.ts';
import { configOf, stageOf } from './stage.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'amslpr-plan-'));
});
afterEach(() => rmSync(root, { recursive: true }));

const put = (path: string, content: string, mode = 0o644): void => {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), content, { mode });
};
const planOf = (...stages: readonly AnyStage[]): Plan => makePlan(configOf(stages), stages, root);
const content = (plan: Plan, path: string): string =>
  Buffer.from(plan.files.find((file) => file.path === path)?.bytes ?? []).toString();

describe('files of a plan', () => {
  it('are copied from the stage’s overlay', () => {
    put('overlays/web/etc/web.conf', 'a {{b}} $c\n');
    const plan = planOf(stageOf('web', ({ overlay }) => ({ files: [overlay('/etc/web.conf', { mode: '0600' })] })));
    expect(plan.files.find(({ path }) => path === '/etc/web.conf')).toMatchObject({
      mode: '0600',
      owner: 'root:root',
      stage: 'web',
    });
    expect(content(plan, '/etc/web.conf')).toBe('a {{b}} $c\n');
  });

  it('are rendered as they are, with nothing escaped', () => {
    put('overlays/web/etc/web.conf.hbs', 'port {{port}} {{name}}\n{{#if on}}on\n{{/if}}');
    const data = { port: 80, name: '<a&"b">', on: true };
    const plan = planOf(stageOf('web', ({ overlay }) => ({ files: [overlay('/etc/web.conf', { data })] })));
    expect(content(plan, '/etc/web.conf')).toBe('port 80 <a&"b">\non\n');
  });

  it('may not use a name that nobody gives', () => {
    put('overlays/web/etc/web.conf.hbs', 'port {{prot}}\n');
    const stage = stageOf('web', ({ overlay }) => ({ files: [overlay('/etc/web.conf', { data: { port: 1 } })] }));
    expect(() => planOf(stage)).toThrow('"prot" not defined');
  });

  it('come from source folders without tests and compiled files', () => {
    put('device/tool/main.py', 'main');
    put('device/tool/run', '#!/bin/sh\n', 0o755);
    put('device/tool/tests/test_main.py', 'no');
    put('device/tool/__pycache__/main.pyc', 'no');
    const plan = planOf(
      stageOf('tool', {
        files: [
          { path: '/opt/tool', mode: '0755', owner: 'root:root', content: { kind: 'source', source: 'device/tool' } },
        ],
      }),
    );
    const seen = plan.files
      .filter(({ path }) => path.startsWith('/opt'))
      .map(({ path, type, mode }) => `${type} ${mode} ${path}`);
    expect(seen).toEqual(['directory 0755 /opt/tool', 'file 0644 /opt/tool/main.py', 'file 0755 /opt/tool/run']);
  });
});

describe('a plan', () => {
  const simple = stageOf('a', { files: [text('/etc/a', '1')], packages: ['vim'] });

  it('is the same for the same input', () => {
    expect(planOf(simple).digest).toBe(planOf(simple).digest);
    expect(planOf(simple).digest).toMatch(/^[0-9a-f]{64}$/);
  });

  it.each([
    ['a byte', stageOf('a', { files: [text('/etc/a', '2')], packages: ['vim'] })],
    ['a mode', stageOf('a', { files: [text('/etc/a', '1', '0600')], packages: ['vim'] })],
    ['a package', stageOf('a', { files: [text('/etc/a', '1')], packages: ['nano'] })],
    [
      'an expression',
      stageOf('a', {
        files: [text('/etc/a', '1')],
        packages: ['vim'],
        checks: { x: run('X', 'true', { matches: /a/ }) },
      }),
    ],
  ])('has another digest for %s', (_what, other) => {
    expect(planOf(other).digest).not.toBe(planOf(simple).digest);
  });

  it('gives what all stages contributed to those that collect', () => {
    const web = stageOf('web', { openPorts: [{ port: 80, protocol: 'tcp', action: 'allow', comment: 'web' }] });
    const wall = stageOf(
      'wall',
      {},
      { collect: ({ openPorts }) => ({ files: [text('/etc/ports', openPorts.map((p) => p.port).join())] }) },
    );
    expect(content(planOf(wall, web), '/etc/ports')).toBe('80');
  });

  it('is refused when a stage needs what is not there', () => {
    const needy = stageOf('b', {}, { needs: ['nobody'] });
    expect(() => planOf(needy)).toThrow(UserError);
    expect(() => planOf(needy)).toThrow('stage b needs stage nobody, which does not exist');
  });

  it('carries the questions for the device, with expressions as Python takes them', () => {
    const checks = {
      one: run('One', 'a b', { matches: [/^x$/m, /y/], lacks: /z/i, guide: [5] }),
      two: run('Two', 'c', { matches: /w/, exit: 3, when: 'data-open' }),
    };
    const written = JSON.parse(content(planOf(stageOf('a', { checks })), '/usr/share/amslpr/checks.json'));
    expect(written).toEqual([
      {
        id: 'a/one',
        title: 'One',
        guide: [5],
        run: ['a', 'b'],
        matches: ['(?m)^x$', 'y'],
        lacks: ['(?i)z'],
        exit: 0,
        when: 'always',
      },
      { id: 'a/two', title: 'Two', guide: [], run: ['c'], matches: ['w'], lacks: [], exit: 3, when: 'data-open' },
    ]);
  });

  it('is JSON without bytes', () => {
    const plan = planOf(
      stageOf('a', { files: [text('/etc/a', 'secret')], checks: { x: run('X', 'true', { matches: /^a$/m }) } }),
    );
    const json = JSON.stringify(recordOf(plan));
    expect(JSON.parse(json)).toEqual(recordOf(plan));
    expect(json).not.toContain('bytes');
    expect(recordOf(plan).files[0]).toMatchObject({
      path: '/etc/a',
      size: 6,
      sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    expect(recordOf(plan).checks[0]).toMatchObject({ id: 'a/x', matches: '/^a$/m' });
  });
});
