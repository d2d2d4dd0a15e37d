import { describe, expect, it } from 'vitest';
import { evaluate } from '../../../src/audit/evaluate.ts';
import type { Tree } from '../../../src/audit/tree.ts';
import type { Check, CheckResult } from '../../../src/core/check.ts';
import { accounts, file, folder, link, treeOf } from './helpers.ts';

function answer(tree: Tree, check: Check): CheckResult {
  const [result] = evaluate(tree, [{ ...check, id: 'stage/key', stage: 'stage' }]);
  if (result === undefined) throw new Error('no result');
  expect(result.evidence).not.toBe('');
  return result;
}

const unitFile = (path: string) =>
  file(path, '[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n');

const tree = treeOf([
  ...accounts(),
  file('/etc/app.conf', 'a = 1\nb = 2\n', { mode: 0o640, gid: 950 }),
  file('/etc/odd', '', { uid: 4000 }),
  file('/usr/bin/su', 'x', { mode: 0o4755 }),
  link('/etc/link', 'app.conf'),
  link('/etc/absolute', '/etc/app.conf'),
  link('/etc/circle', 'circle'),
  link('/etc/outside', '../../../etc/app.conf'),
  link('/bin', 'usr/bin'),
  folder('/var/empty', { mode: 0o1777 }),
  file('/etc/d/one.conf', 'good\n'),
  file('/etc/d/two.conf', 'bad\n'),
  file('/etc/d/sub/three.conf', 'good\n'),
  link('/etc/e/link.conf', '../d/two.conf'),
  file('/etc/e/own.conf', 'good\n'),
  link('/etc/e/nowhere.conf', '/nowhere'),
  file('/boot/firmware/config.txt', 'x\n', { mode: 0o755 }),
  unitFile('/usr/lib/systemd/system/on.service'),
  link('/etc/systemd/system/multi-user.target.wants/on.service', '/usr/lib/systemd/system/on.service'),
  unitFile('/usr/lib/systemd/system/off.service'),
  unitFile('/usr/lib/systemd/system/gone.service'),
  link('/etc/systemd/system/gone.service', '/dev/null'),
  link('/etc/systemd/system/multi-user.target.wants/gone.service', '/usr/lib/systemd/system/gone.service'),
  link('/usr/lib/systemd/system/vendor-masked.service', '/dev/null'),
  link('/usr/lib/systemd/system/vendor-over.service', '/dev/null'),
  unitFile('/etc/systemd/system/vendor-over.service'),
  unitFile('/usr/lib/systemd/system/ssh.service'),
  link('/etc/systemd/system/sshd.service', '/usr/lib/systemd/system/ssh.service'),
  link('/etc/systemd/system/multi-user.target.requires/sshd.service', '/usr/lib/systemd/system/ssh.service'),
  unitFile('/usr/lib/systemd/system/getty@.service'),
  link('/etc/systemd/system/getty.target.wants/getty@tty1.service', '/usr/lib/systemd/system/getty@.service'),
  unitFile('/usr/lib/systemd/system/static.service'),
  link('/usr/lib/systemd/system/sysinit.target.wants/static.service', '../static.service'),
  link('/etc/systemd/system/multi-user.target.wants/dangling.service', '/usr/lib/systemd/system/dangling.service'),
  file('/usr/lib/systemd/system/graphical.target', '[Unit]\n'),
  link('/etc/systemd/system/default.target', '/usr/lib/systemd/system/graphical.target'),
  file(
    '/var/lib/dpkg/status',
    'Package: nginx\nStatus: install ok installed\nArchitecture: arm64\nVersion: 1.26.3-3\n\n' +
      'Package: gone\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 1\n\n' +
      'Package: held\nStatus: hold ok installed\nArchitecture: all\nVersion: 2\nDescription: x\n Package: inner\n',
  ),
]);

const t = { title: 'A fact' };

describe('evaluate: what passes', () => {
  it.each<[string, Check, RegExp]>([
    [
      'mode and owner',
      { ...t, kind: 'file', path: '/etc/app.conf', mode: '0640', owner: 'root:amslpr' },
      /0640 root:amslpr/,
    ],
    ['content', { ...t, kind: 'file', path: '/etc/app.conf', matches: [/^a = 1$/m, /^b/m], lacks: /^c/m }, /2 lines/],
    ['a link to the file', { ...t, kind: 'file', path: '/etc/link', matches: /a = 1/ }, /\/etc\/app\.conf/],
    ['an absolute link', { ...t, kind: 'file', path: '/etc/absolute', matches: /a = 1/ }, /app\.conf/],
    ['a link over the root', { ...t, kind: 'file', path: '/etc/outside', matches: /a = 1/ }, /app\.conf/],
    ['a path through a link', { ...t, kind: 'file', path: '/bin/su', mode: '04755' }, /\/usr\/bin\/su: 4755/],
    ['an expression with state', { ...t, kind: 'file', path: '/etc/app.conf', matches: [/a/g, /a/g] }, /2 lines/],
    ['a pattern', { ...t, kind: 'file', path: '/etc/d/*.conf', lacks: /worse/ }, /one\.conf.*two\.conf/],
    ['a deep pattern', { ...t, kind: 'file', path: '/etc/**/three.conf', matches: /good/ }, /three\.conf/],
    [
      'a pattern of modes, links left out',
      { ...t, kind: 'file', path: '/etc/e/**', mode: '0644' },
      /^\/etc\/e\/own\.conf[^,]*, 5 bytes$/,
    ],
    ['an owner without a name', { ...t, kind: 'file', path: '/etc/odd' }, /4000:root/],
    [
      'the boot partition',
      { ...t, kind: 'file', path: '/boot/firmware/config.txt', mode: '0644', owner: 'root:root' },
      /config/,
    ],
    ['a link', { ...t, kind: 'link', path: '/etc/link', target: 'app.conf' }, /-> app\.conf/],
    [
      'a folder',
      { ...t, kind: 'directory', path: '/var/empty', mode: '01777', owner: 'root:root', empty: true },
      /1777.*empty/,
    ],
    ['absence', { ...t, kind: 'absent', path: ['/etc/none', '/etc/no*'] }, /nothing at/],
    ['enabled', { ...t, kind: 'unit', unit: 'on.service', is: 'enabled' }, /multi-user\.target\.wants/],
    ['enabled by an alias', { ...t, kind: 'unit', unit: 'ssh.service', is: 'enabled' }, /requires\/sshd/],
    ['an instance', { ...t, kind: 'unit', unit: 'getty@tty1.service', is: 'enabled' }, /getty\.target\.wants/],
    ["enabled by the package's own link", { ...t, kind: 'unit', unit: 'static.service', is: 'enabled' }, /sysinit/],
    ['the default target', { ...t, kind: 'unit', unit: 'graphical.target', is: 'enabled' }, /default\.target/],
    ['disabled', { ...t, kind: 'unit', unit: 'off.service', is: 'disabled' }, /no link starts it/],
    ['disabled, another instance', { ...t, kind: 'unit', unit: 'getty@tty2.service', is: 'disabled' }, /no link/],
    ['disabled, not there', { ...t, kind: 'unit', unit: 'nope.service', is: 'disabled' }, /no unit file/],
    ['masked although wanted', { ...t, kind: 'unit', unit: 'gone.service', is: 'masked' }, /dev\/null/],
    ['masked by the package', { ...t, kind: 'unit', unit: 'vendor-masked.service', is: 'masked' }, /usr\/lib/],
    ['installed', { ...t, kind: 'package', package: 'nginx', is: 'installed' }, /1\.26\.3-3 \(arm64\)/],
    ['held', { ...t, kind: 'package', package: 'held', is: 'installed' }, /held 2/],
    ['only configuration left', { ...t, kind: 'package', package: 'gone', is: 'absent' }, /among the 2/],
    ['a word in a description', { ...t, kind: 'package', package: 'inner', is: 'absent' }, /among the 2/],
  ])('%s', (_, check, evidence) => {
    const result = answer(tree, check);
    expect(result).toMatchObject({ outcome: 'pass', evidence: expect.stringMatching(evidence) });
    expect(result.expected).toBeUndefined();
  });
});

describe('evaluate: what fails', () => {
  it.each<[string, Check, RegExp, RegExp]>([
    ['a missing file', { ...t, kind: 'file', path: '/etc/none' }, /not there/, /a file/],
    ['another mode', { ...t, kind: 'file', path: '/etc/app.conf', mode: '0644' }, /0640/, /mode 0644/],
    [
      'another owner',
      { ...t, kind: 'file', path: '/etc/app.conf', owner: 'root:root' },
      /root:amslpr/,
      /owner root:root/,
    ],
    [
      'content that lacks',
      { ...t, kind: 'file', path: '/etc/app.conf', matches: [/a/, /zzz/] },
      /2 lines/,
      /a match for \/zzz\//,
    ],
    ['content that has', { ...t, kind: 'file', path: '/etc/app.conf', lacks: /^b/m }, /2 lines/, /line 2 does/],
    ['one of many', { ...t, kind: 'file', path: '/etc/d/*.conf', lacks: /bad/ }, /two/, /^\/etc\/d\/two\.conf/],
    [
      'content behind a link',
      { ...t, kind: 'file', path: '/etc/e/*', lacks: /bad/ },
      /own\.conf/,
      /^\/etc\/d\/two\.conf/,
    ],
    ['a pattern that nothing fits', { ...t, kind: 'file', path: '/etc/d/*.none' }, /not there/, /a file/],
    ['a folder for a file', { ...t, kind: 'file', path: '/etc/d' }, /directory/, /a regular file/],
    ['links in circles', { ...t, kind: 'file', path: '/etc/circle' }, /symlink/, /a regular file/],
    ['another target', { ...t, kind: 'link', path: '/etc/link', target: 'x' }, /-> app\.conf/, /to x/],
    ['a file for a link', { ...t, kind: 'link', path: '/etc/app.conf', target: 'x' }, /is a file/, /a link/],
    ['no link', { ...t, kind: 'link', path: '/etc/none', target: 'x' }, /not there/, /a link/],
    ['a folder that holds', { ...t, kind: 'directory', path: '/etc/d', empty: true }, /one\.conf/, /nothing in it/],
    ["a folder's mode", { ...t, kind: 'directory', path: '/etc/d', mode: '0700' }, /0755/, /mode 0700/],
    ['no folder', { ...t, kind: 'directory', path: '/none' }, /not there/, /a folder/],
    ['a file for a folder', { ...t, kind: 'directory', path: '/etc/odd' }, /is a file/, /a folder/],
    ['presence', { ...t, kind: 'absent', path: '/etc/app.*' }, /app\.conf \(file\)/, /nothing/],
    ['presence of a broken link', { ...t, kind: 'absent', path: '/etc/circle' }, /symlink/, /nothing/],
    ['not enabled', { ...t, kind: 'unit', unit: 'off.service', is: 'enabled' }, /disabled/, /enabled/],
    ['masked, not enabled', { ...t, kind: 'unit', unit: 'gone.service', is: 'enabled' }, /masked/, /enabled/],
    [
      'a dangling link',
      { ...t, kind: 'unit', unit: 'dangling.service', is: 'enabled' },
      /missing.*wants it/,
      /enabled/,
    ],
    ['enabled, not disabled', { ...t, kind: 'unit', unit: 'on.service', is: 'disabled' }, /enabled/, /disabled/],
    ['only disabled', { ...t, kind: 'unit', unit: 'off.service', is: 'masked' }, /disabled/, /masked/],
    [
      'a mask that /etc replaces',
      { ...t, kind: 'unit', unit: 'vendor-over.service', is: 'masked' },
      /disabled/,
      /masked/,
    ],
    ['not installed', { ...t, kind: 'package', package: 'gone', is: 'installed' }, /not among/, /installed/],
    ['installed', { ...t, kind: 'package', package: 'nginx', is: 'absent' }, /nginx 1/, /absent/],
    ['an unknown scan', { ...t, kind: 'scan', scan: 'nope' }, /no scan "nope"/, /suid/],
    ['an unknown parameter', { ...t, kind: 'scan', scan: 'suid', with: { alow: [] } }, /not run: "alow"/, /parameters/],
  ])('%s', (_, check, evidence, expected) => {
    expect(answer(tree, check)).toMatchObject({
      outcome: 'fail',
      evidence: expect.stringMatching(evidence),
      expected: expect.stringMatching(expected),
    });
  });

  it('packages of an image without dpkg, wanted or not', () => {
    for (const is of ['installed', 'absent'] as const) {
      const result = answer(treeOf([]), { ...t, kind: 'package', package: 'x', is });
      expect(result).toMatchObject({ outcome: 'fail', evidence: '/var/lib/dpkg/status is not there' });
    }
  });
});

it('leaves run checks to the guest and keeps the order', () => {
  const results = evaluate(tree, [
    { ...t, kind: 'absent', path: '/b', id: 's/b', stage: 's', guide: [7] },
    { ...t, kind: 'run', run: ['true'], id: 's/r', stage: 's' },
    { ...t, kind: 'absent', path: '/a', id: 's/a', stage: 's' },
  ]);
  expect(results.map(({ id, guide }) => [id, guide])).toEqual([
    ['s/b', [7]],
    ['s/a', []],
  ]);
});
