import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../../src/config/load.ts';
import type { Contribution } from '../../../src/core/contribution.ts';
import { file, folder, symlink, text } from '../../../src/core/shorthand.ts';
import { planChanges } from '../../../src/plan/changes.ts';
import { makePlan } from '../../../src/plan/plan.ts';
import { planText } from '../../../src/plan/print.ts';
import { type PlanRecord, recordOf } from '../../../src/plan/record.ts';
import { stages } from '../../../stages/index.ts';
import { configOf, stageOf } from './stage.ts';

const root = join(import.meta.dirname, '../../..');
const plain = (_style: string, words: string): string => words;

function recordFor(contribution: Contribution): PlanRecord {
  const list = [stageOf('web', contribution)];
  return recordOf(makePlan(configOf(list), list, root));
}

const before: Contribution = {
  packages: ['nginx', 'curl'],
  files: [text('/etc/a', '1'), text('/etc/b', '1'), folder('/etc/c'), symlink('/etc/d', '/etc/a')],
  units: { 'nginx.service': 'enabled' },
  cmdline: ['quiet'],
  checks: { one: file('A is there', '/etc/a') },
};

describe('the text of a plan', () => {
  const all = planText(recordOf(makePlan(loadConfig(join(root, 'config/amslpr.yaml'), stages), stages, root)), plain);

  it('fits 80 columns but for single paths', () => {
    const long = all.split('\n').filter((line) => line.length > 80);
    expect(long.filter((line) => !/^ +0[0-7]{3,4} +[\w:-]+ +\S+$/.test(line))).toEqual([]);
  });

  it.each(['Packages', 'Files', 'Units', 'First boot', 'Open ports', 'Checks', 'On the encrypted data partition'])(
    'has a section %s',
    (title) => {
      expect(all).toMatch(new RegExp(`^${title}( \\(\\d+\\))?$`, 'm'));
    },
  );

  it('has every file, unit, package and check', () => {
    const record = recordFor(before);
    const words = planText(record, plain);
    for (const part of [
      '/etc/a',
      '/etc/c/',
      '/etc/d -> /etc/a',
      '0644',
      'nginx',
      'nginx.service',
      'quiet',
      'A is there',
    ]) {
      expect(words).toContain(part);
    }
  });
});

describe('the changes since the last build', () => {
  const changes = (contribution: Contribution): string[] =>
    planChanges(recordFor(before), recordFor(contribution), plain)
      .split('\n')
      .slice(2)
      .map((line) => line.trim())
      // Both hold what the others are.
      .filter((line) => line !== '' && !line.includes('/usr/share/amslpr/'));

  it('are none for the same plan', () => {
    expect(changes(before)).toEqual(['none']);
  });

  it.each<[what: string, change: Contribution, lines: string[]]>([
    ['a new package', { ...before, packages: ['nginx', 'curl', 'vim'] }, ['+ package vim']],
    ['a package less', { ...before, packages: ['nginx'] }, ['- package curl']],
    ['a unit', { ...before, units: { 'nginx.service': 'masked' } }, ['~ unit nginx.service: enabled -> masked']],
    ['an argument', { ...before, cmdline: ['quiet', 'panic=10'] }, ['+ kernel argument panic=10']],
    ['a check less', { ...before, checks: {} }, ['- check web/one']],
    [
      'files',
      { ...before, files: [text('/etc/a', '2'), text('/etc/b', '1', '0600'), folder('/etc/c'), text('/etc/e', '')] },
      ['~ file /etc/a: content', '~ file /etc/b: mode 0644 -> 0600', '- file /etc/d', '+ file /etc/e'],
    ],
  ])('%s', (_what, change, lines) => {
    expect(changes(change)).toEqual(lines);
  });
});
