import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Exception, readExceptions, tailoringFile } from '../../../src/score/exceptions.ts';
import { lynisFigures } from '../../../src/score/measures/lynis.ts';
import { PROFILES, profileFigure, readProgress } from '../../../src/score/measures/openscap.ts';
import { openPorts } from '../../../src/score/measures/ports.ts';
import { sshFindings } from '../../../src/score/measures/ssh.ts';
import { tlsFindings } from '../../../src/score/measures/tls.ts';
import { readExposures, unitFigures } from '../../../src/score/measures/units.ts';
import { pendingUpdates } from '../../../src/score/measures/updates.ts';
import { scorePage } from '../../../src/score/table.ts';

const met = (figures: readonly { id: string; met?: boolean }[]) =>
  Object.fromEntries(figures.map((one) => [one.id, one.met]));

describe('systemd-analyze', () => {
  const said = (console: string) =>
    Object.entries({ amslpr: '0.2', nginx: '2.4', 'amslpr-console': console, dbus: '9.3' })
      .map(
        ([name, exposure]) =>
          `✗ PrivateNetwork=  Service has access 0.5\n\n→ Overall exposure level for ${name}.service: ${exposure} OK :-)\n`,
      )
      .join('\n');

  it('is content with units that are locked in', () => {
    const figures = unitFigures(readExposures(said('5.0')), 'systemd');
    expect(met(figures)).toEqual({ 'units/application': true, 'units/nginx': true, 'units/others': true });
  });

  it('names a unit of ours that is open, and counts a missing one as open', () => {
    const figures = unitFigures(readExposures(said('7.2')), 'systemd');
    expect(figures.find(({ id }) => id === 'units/others')).toMatchObject({
      met: false,
      below: ['amslpr-console.service 7.2'],
    });
    expect(met(unitFigures([], 'systemd'))).toEqual({
      'units/application': false,
      'units/nginx': false,
      'units/others': false,
    });
  });
});

describe('lynis', () => {
  it('gives its index and its warnings', () => {
    const good = 'hardening_index=91\nlynis_tests_done=250\nsuggestion[]=A-1|Do it|-|-|\n';
    expect(met(lynisFigures(good, 'lynis'))).toEqual({ 'lynis/index': true, 'lynis/warnings': true });
    const bad = lynisFigures('hardening_index=76\nwarning[]=B-2|Bad|-|-|\nsuggestion[]=A-1|Do it|-|-|\n', 'lynis');
    expect(met(bad)).toEqual({ 'lynis/index': false, 'lynis/warnings': false });
    expect(bad.map(({ below }) => below)).toEqual([['A-1 Do it -'], ['B-2 Bad -']]);
  });

  it('that said nothing meets nothing', () => {
    expect(met(lynisFigures('', 'lynis'))).toEqual({ 'lynis/index': false, 'lynis/warnings': false });
  });
});

describe('OpenSCAP', () => {
  const profile = { name: 'p', title: 'P', goal: { percent: 75, exceptions: 1, applicable: 4 } };
  const results = readProgress(
    ['a:pass', 'b:pass', 'c:pass', 'd:fail', 'e:notchecked', 'f:notapplicable']
      .map((line) => `xccdf_org.ssgproject.content_rule_${line}\n`)
      .join(''),
  );
  const except = (rule: string, profiles = ['p']): Exception => ({ rule, profiles, reason: 'it does not fit here' });
  const figure = (exceptions: readonly Exception[]) => profileFigure(profile, results, exceptions, 'oscap', 'today');

  it('counts what it could not check as failed, and leaves out what does not apply', () => {
    expect(figure([])).toMatchObject({ met: false, below: ['d', 'e (notchecked)'] });
    expect(figure([]).figure).toBe('60.0 % of 5 rules, 0 exceptions (raw 60.0 % of 5)');
  });

  it('leaves out exceptions of this profile, and says both figures', () => {
    expect(figure([except('d')]).figure).toBe('75.0 % of 4 rules, 1 exceptions (raw 60.0 % of 5)');
    expect(figure([except('d')]).met).toBe(true);
    expect(figure([except('d', ['other'])]).met).toBe(false);
  });

  it('takes no exception that is not needed, no more of them than allowed, and no profile that judged too little', () => {
    expect(figure([except('a')])).toMatchObject({
      met: false,
      below: expect.arrayContaining(['a: the exception is not needed']),
    });
    expect(figure([except('d'), except('e')]).met).toBe(false);
    expect(
      profileFigure({ ...profile, goal: { ...profile.goal, applicable: 6 } }, results, [except('d')], '', '').met,
    ).toBe(false);
  });

  it('reads exceptions, each with a reason, and writes them as a tailoring file', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'amslpr-score-test-'));
    try {
      const file = join(folder, 'score.yaml');
      writeFileSync(file, 'openscap:\n  - { rule: a, profiles: [p], reason: a reason of more than -- some words }\n');
      const read = await readExceptions(file);
      const xml = tailoringFile(read['openscap'] ?? [], ['p', 'q'], '2026-01-01T00:00:00');
      expect(xml.match(/content_rule_a" selected="false"/g)).toHaveLength(1);
      expect(xml).not.toMatch(/<!--[^>]*--[^>]/);
      writeFileSync(
        file,
        'openscap:\n  - { rule: a, profiles: [p] }\n  - { rule: a, reason: a reason of more than some words }\n',
      );
      await expect(readExceptions(file)).rejects.toThrow(/a needs a reason[\s\S]*a is there twice/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('has exceptions for profiles that are run, and no more than the goal allows', async () => {
    const { openscap = [] } = await readExceptions('config/score.yaml');
    const names = PROFILES.map(({ name }) => name);
    for (const { rule, profiles } of openscap) expect(names, rule).toEqual(expect.arrayContaining([...profiles]));
    for (const { name, goal } of PROFILES) {
      const count = openscap.filter(({ profiles }) => profiles.includes(name)).length;
      if (goal !== undefined) expect(count, name).toBeLessThanOrEqual(goal.exceptions);
    }
  });
});

describe('scanners of the network', () => {
  it('ssh-audit: failures, warnings, and a server that offers nothing', () => {
    const json = JSON.stringify({
      kex: [{ algorithm: 'mlkem768x25519-sha256', notes: {} }],
      key: [{ algorithm: 'ssh-rsa', notes: { fail: ['weak'], warn: ['old'] } }],
      enc: [{ algorithm: 'aes256-gcm@openssh.com' }],
      mac: [],
    });
    expect(sshFindings(json, 'fail')).toEqual(['key ssh-rsa: weak', 'mac: the server offers none']);
    expect(sshFindings(json, 'warn')).toContain('key ssh-rsa: old');
  });

  it('sslscan: old protocols, weak ciphers, and nothing found', () => {
    const protocol = (version: string, enabled: number) =>
      `<protocol type="tls" version="${version}" enabled="${enabled}" />`;
    const cipher = (strength: string) =>
      `<cipher status="accepted" sslversion="TLSv1.2" bits="128" cipher="AES" strength="${strength}" />`;
    const good = `${protocol('1.1', 0)}${protocol('1.2', 1)}${protocol('1.3', 1)}${cipher('strong')}`;
    expect(tlsFindings(good)).toEqual([]);
    expect(tlsFindings(`${good}${protocol('1.1', 1)}${cipher('weak')}`)).toEqual(['TLSv1.1 is spoken', 'AES is weak']);
    expect(tlsFindings('')).toContain('no cipher was found');
    expect(tlsFindings(`${good}<heartbleed sslversion="TLSv1.2" vulnerable="1" />`)).toEqual(['Heartbleed']);
  });

  it('nmap: open ports, and no answer is not open', () => {
    const line =
      'Host: 10.0.0.1 ()\tPorts: 22/open/tcp//ssh///, 25/filtered/tcp//smtp///, 5353/open|filtered/udp//x///\tIgnored';
    expect(openPorts(line)).toEqual(['22/tcp']);
    expect(openPorts('')).toEqual([]);
  });

  it('apt: what it would install', () => {
    const text =
      'NOTE: this is a simulation\nInst libc6 [2.41-12] (2.41-13 Debian-Security:13/stable [arm64])\nConf libc6\n';
    expect(pendingUpdates(text)).toEqual(['libc6 from 2.41-12 to 2.41-13']);
  });
});

it('the page shows what is below its goal, with what stands in the way', () => {
  const figures = [
    { id: 'a', title: 'A', figure: '1', goal: '0', met: false, tool: 't 1', below: ['x | y'] },
    { id: 'b', title: 'B', figure: '2', tool: 't 2', data: 'today', below: [] },
  ];
  const page = scorePage({ subject: 's', system: 'd', machine: 'virt', day: '2026-01-01', figures, exceptions: {} });
  expect(page).toContain('| A | 1 | 0 | **below** | t 1 |');
  expect(page).toContain('- A: `x | y`.');
  expect(page).toContain('| B | 2 |  |  | t 2; today |');
});

it('the scanners are in no list of the image', () => {
  const lock = readFileSync('config/amslpr.lock.yaml', 'utf8');
  const image = lock.slice(0, lock.indexOf('toolboxes:'));
  expect(image).not.toMatch(/^\s*- (lynis|nmap|openscap-scanner|ssh-audit|sslscan|testssl\.sh) /m);
  expect(image).toMatch(/^\s*- openssh-server /m);
});
