import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { AbsPath, Contribution } from '../../../src/core/contribution.ts';
import { UserError } from '../../../src/core/errors.ts';
import { folder, symlink, text } from '../../../src/core/shorthand.ts';
import { makePlan } from '../../../src/plan/plan.ts';
import { configOf, stageOf } from './stage.ts';

const root = join(import.meta.dirname, '../../..');

function planOf(...contributions: readonly Contribution[]) {
  const stages = contributions.map((contribution, index) => stageOf('abc'[index] ?? 'x', contribution));
  return makePlan(configOf(stages), stages, root);
}

function conflict(...contributions: readonly Contribution[]): string {
  try {
    planOf(...contributions);
  } catch (error) {
    if (error instanceof UserError) return error.message;
    throw error;
  }
  return 'none';
}

const account = (name: string, uid: number) => ({ name, uid, description: '' });
const bind = (path: AbsPath, name: string) => ({ path, name, mode: '0700', owner: 'root:root' }) as const;

describe('contributions that contradict each other', () => {
  it.each<[what: string, message: string, ...Contribution[]]>([
    [
      'two programs at one port',
      'port 80/tcp is taken twice, by a and b',
      { openPorts: [{ port: 80, protocol: 'tcp', action: 'limit', comment: 'SSH' }] },
      { openPorts: [{ port: 80, protocol: 'tcp', action: 'allow', comment: 'HTTP' }] },
    ],
    [
      'a path twice',
      '/etc/a is written twice, by a and b',
      { files: [text('/etc/a', '1')] },
      { files: [text('/etc/a', '1')] },
    ],
    [
      'a path twice in one stage',
      '/etc/a is written twice, by a',
      { files: [text('/etc/a', '1'), text('/etc/a', '2')] },
    ],
    [
      'a file and a folder',
      '/etc/a is written twice, by a and b',
      { files: [text('/etc/a', '')] },
      { files: [folder('/etc/a')] },
    ],
    [
      'a link and a file',
      '/etc/a is written twice, by a and b',
      { files: [symlink('/etc/a', 'b')] },
      { files: [text('/etc/a', '')] },
    ],
    [
      'folders of two modes',
      '/etc/a is written twice, by a and b',
      { files: [folder('/etc/a')] },
      { files: [folder('/etc/a', '0700')] },
    ],
    ['a path that climbs', 'a: "/etc/../shadow" is not a plain absolute path', { files: [text('/etc/../shadow', '')] }],
    ['a path that stays', 'a: "/etc/./a" is not a plain absolute path', { files: [text('/etc/./a', '')] }],
    ['a path with two slashes', 'a: "/etc//a" is not a plain absolute path', { files: [text('/etc//a', '')] }],
    ['a path that ends in a slash', 'a: "/etc/a/" is not a plain absolute path', { files: [folder('/etc/a/')] }],
    ['a path with a line break', 'a: "/etc/a\\nb" is not a plain absolute path', { files: [text('/etc/a\nb', '')] }],
    ['a relative path', 'a: "etc/a" is not a plain absolute path', { files: [text('etc/a' as AbsPath, '')] }],
    [
      'a unit in two states',
      'unit x.service is enabled by a and masked by b',
      { units: { 'x.service': 'enabled' } },
      { units: { 'x.service': 'masked' } },
    ],
    ['a package in and out', 'a installs package vim, which b removes', { packages: ['vim'] }, { purge: ['vim'] }],
    [
      'an argument with a space',
      'a: kernel argument "init=/bin/sh quiet" holds a space or a quote',
      { cmdline: ['init=/bin/sh quiet'] },
    ],
    ['an argument with a quote', 'a: kernel argument "a=\\"b\\"" holds a space or a quote', { cmdline: ['a="b"'] }],
    ['an empty argument', 'a: kernel argument "" holds a space or a quote', { cmdline: [''] }],
    [
      'two accounts of one uid',
      'accounts: uid 950 is taken twice, by a and b',
      { accounts: [account('x', 950)] },
      { accounts: [account('y', 950)] },
    ],
    [
      'two accounts of one name',
      'accounts: name x is taken twice, by a and b',
      { accounts: [account('x', 950)] },
      { accounts: [account('x', 951)] },
    ],
    [
      'two groups of one gid',
      'groups: gid 960 is taken twice, by a and b',
      { groups: [{ name: 'x', gid: 960 }] },
      { groups: [{ name: 'y', gid: 960 }] },
    ],
    [
      'a data folder twice',
      'dataBinds: path /var/x is taken twice, by a and b',
      { dataBinds: [bind('/var/x', 'x')] },
      { dataBinds: [bind('/var/x', 'y')] },
    ],
    ['a diversion for nothing', 'a diverts /etc/a, but no stage writes it', { diversions: ['/etc/a'] }],
  ])('%s', (_what, message, ...contributions) => {
    expect(conflict(...contributions)).toBe(message);
  });

  it('are all told at once', () => {
    const both: Contribution = { files: [text('/etc/a', '')], units: { 'x.service': 'enabled' } };
    expect(conflict(both, { ...both, units: { 'x.service': 'masked' } }).split('\n')).toHaveLength(2);
  });
});

describe('contributions that agree', () => {
  it('may have one folder, unit and package', () => {
    const same: Contribution = { files: [folder('/etc/a')], units: { 'x.service': 'enabled' }, packages: ['vim'] };
    const plan = planOf(same, same);
    expect(plan.files.filter(({ path }) => path === '/etc/a')).toHaveLength(1);
    expect(plan.packages).toEqual(['vim']);
    expect(plan.units).toEqual({ 'x.service': 'enabled' });
  });

  it('are sorted, so that their order changes nothing but the arguments of the kernel', () => {
    const [one, two]: Contribution[] = [
      { files: [text('/z', '1')], packages: ['z'], units: { 'z.service': 'masked' } },
      { files: [text('/a', '1')], packages: ['a'], units: { 'a.service': 'masked' } },
    ];
    const plan = planOf(one ?? {}, two ?? {});
    expect(plan.packages).toEqual(['a', 'z']);
    expect(Object.keys(plan.units)).toEqual(['a.service', 'z.service']);
    expect(plan.files.map(({ path }) => path)).toEqual([...plan.files.map(({ path }) => path)].sort());
  });
});
