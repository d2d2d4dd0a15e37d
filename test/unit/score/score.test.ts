import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Exception, readExceptions, tailoringFile } from '../../../src/score/exceptions.ts';
import { bansFigure, secondsToBan } from '../../../src/score/measures/bans.ts';
import { costFigures, readCost } from '../../../src/score/measures/cost.ts';
import { headerFaults } from '../../../src/score/measures/headers.ts';
import { lynisFigures } from '../../../src/score/measures/lynis.ts';
import { PROFILES, profileFigure, readProgress } from '../../../src/score/measures/openscap.ts';
import { openPorts, portsFigure, unexpectedSockets } from '../../../src/score/measures/ports.ts';
import { sshFindings } from '../../../src/score/measures/ssh.ts';
import { testsslFigures, tlsFindings } from '../../../src/score/measures/tls.ts';
import { readExposures, unitFigures } from '../../../src/score/measures/units.ts';
import { pendingUpdates } from '../../../src/score/measures/updates.ts';
import { mergeReports } from '../../../src/score/merge.ts';
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
  const profile = { name: 'p', title: 'P', data: 'today', goal: { percent: 75, exceptions: 1, applicable: 4 } };
  const results = readProgress(
    ['a:pass', 'b:pass', 'c:pass', 'd:fail', 'e:notchecked', 'f:notapplicable']
      .map((line) => `xccdf_org.ssgproject.content_rule_${line}\n`)
      .join(''),
  );
  const except = (rule: string, profiles = ['p']): Exception => ({ rule, profiles, reason: 'it does not fit here' });
  const figure = (exceptions: readonly Exception[]) => profileFigure(profile, results, exceptions, 'oscap');

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
      profileFigure({ ...profile, goal: { ...profile.goal, applicable: 6 } }, results, [except('d')], '').met,
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

  it('nmap: what is open beside the three, and what of them is closed', () => {
    const open = ['22/tcp', '80/tcp', '443/tcp'];
    expect(portsFigure(6, open, [], 'nmap')).toMatchObject({ id: 'ports/ipv6', met: true });
    expect(portsFigure(4, ['22/tcp', '443/tcp', '631/tcp'], ['5353/udp'], 'nmap').below).toEqual([
      '631/tcp is open',
      '5353/udp is open',
      '80/tcp is closed',
    ]);
  });

  it('ss: sockets beyond the loopback interface that are on no list', () => {
    const lines = [
      'udp   UNCONN 0      0      10.0.2.15%enp0s2:68        0.0.0.0:*',
      'tcp   LISTEN 0      128          0.0.0.0:22        0.0.0.0:*',
      'tcp   LISTEN 0      511             [::]:443          [::]:*',
      'tcp   LISTEN 0      511        127.0.0.1:8080      0.0.0.0:*',
    ];
    expect(unexpectedSockets(lines.join('\n'))).toEqual([]);
    expect(unexpectedSockets('tcp LISTEN 0 5 *:5000 *:*\nudp UNCONN 0 0 0.0.0.0:5353 0.0.0.0:*\n')).toEqual([
      'tcp *:5000',
      'udp 0.0.0.0:5353',
    ]);
  });

  it('testssl.sh: the grade, and findings but the address for revocation', () => {
    const one = (id: string, severity: string, finding: string) => ({ id, severity, finding });
    const json = (...found: object[]) => JSON.stringify(found);
    const good = [
      one('overall_grade', 'OK', 'A+'),
      one('cert_revocation', 'HIGH', 'Neither CRL nor OCSP URI provided'),
    ];
    expect(met(testsslFigures(json(...good), 'testssl.sh'))).toEqual({ 'tls/grade': true, 'tls/testssl': true });
    const bad = [
      one('overall_grade', 'HIGH', 'B'),
      one('grade_cap_reason_1', 'INFO', 'old'),
      one('BREACH', 'LOW', 'gzip'),
    ];
    expect(testsslFigures(json(...bad), 'testssl.sh').map(({ below }) => below)).toEqual([
      ['old'],
      ['BREACH (LOW): gzip'],
    ]);
    expect(met(testsslFigures('[]', 'testssl.sh'))).toMatchObject({ 'tls/grade': false });
  });

  it('apt: what it would install', () => {
    const text =
      'NOTE: this is a simulation\nInst libc6 [2.41-12] (2.41-13 Debian-Security:13/stable [arm64])\nConf libc6\n';
    expect(pendingUpdates(text)).toEqual(['libc6 from 2.41-12 to 2.41-13']);
  });
});

it('cost: the line on the console, and both images side by side', () => {
  const line = 'cost 1000000 750000 80 1000 2000 Startup finished in 5s (kernel) + 9s (userspace) = 14s\r';
  const cost = readCost(`[  OK  ] Reached target\r\n${line}\n`);
  expect(cost).toEqual({
    memory: 244,
    total: 977,
    processes: 80,
    written: 6.144,
    boot: '5s (kernel) + 9s (userspace) = 14s',
  });
  expect(readCost('cost of nothing')).toBeUndefined();
  if (cost === undefined) return;
  expect(costFigures(cost, { ...cost, processes: 50 })[1]?.figure).toBe('80; without our stages 50');
  expect(costFigures(cost, undefined)[1]?.figure).toBe('80');
});

describe('headers', () => {
  const right = new Map([
    ['x-content-type-options', 'nosniff'],
    ['x-frame-options', 'SAMEORIGIN'],
    ['x-xss-protection', '0'],
    ['strict-transport-security', 'max-age=1'],
    ['content-security-policy', "default-src 'self'"],
  ]);
  const answer = (status: number, without = '', more = '') =>
    `HTTP/2 ${status}\r\n${[...right].flatMap(([name, value]) => (name === without ? [] : [`${name}: ${value}\r\n`])).join('')}${more}\r\nbody\r\n`;

  it('are there once each, with the right values, on the answer that was asked for', () => {
    expect(headerFaults(404, answer(404), right)).toEqual([]);
    expect(headerFaults(429, answer(400, 'x-frame-options') + answer(429), right)).toEqual([]);
    expect(headerFaults(301, answer(301, 'strict-transport-security'), right)).toEqual([]);
  });

  it('that are missing, twice, or of somebody else are told', () => {
    expect(headerFaults(500, answer(500, 'x-frame-options'), right)).toEqual(['500: x-frame-options is there 0 times']);
    expect(headerFaults(403, answer(403, '', 'X-XSS-Protection: 1\r\n'), right)).toEqual([
      '403: x-xss-protection is there 2 times',
    ]);
    expect(headerFaults(200, answer(200, 'x-frame-options', 'x-frame-options: DENY\r\n'), right)).toEqual([
      '200: x-frame-options is DENY',
    ]);
    expect(headerFaults(301, answer(301), right)).toEqual(['301: strict-transport-security over HTTP']);
    expect(headerFaults(502, answer(500), right)).toEqual(['502: no such answer']);
  });
});

describe('guessing', () => {
  const tries = (...said: string[]) => said.map((one, index) => ({ begin: index * 4, end: index * 4 + 1, said: one }));
  const [yes, no] = ['answered', 'refused: timed out'];
  const all = ['fail2ban', 'penalties', 'ufw limit', 'nginx limits'] as const;
  const others = tries(yes, yes);

  it('counts from the end of the last allowed try', () => {
    expect(secondsToBan(tries(yes, yes, yes, yes, no))).toBe(7);
    expect(secondsToBan(tries(yes, no))).toBe(0);
    expect(secondsToBan(tries(yes, yes, yes, 'limited'))).toBeUndefined();
  });

  it('wants a ban in time, and another client served', () => {
    const one = { kind: 'ssh', version: 4, on: all } as const;
    expect(bansFigure({ ...one, tries: tries(yes, yes, yes, no), others })).toMatchObject({ met: true });
    expect(bansFigure({ ...one, tries: tries(yes, yes, yes, yes, yes, yes, no), others })).toMatchObject({
      met: false,
    });
    expect(bansFigure({ ...one, tries: tries(yes, yes, yes, yes), others })).toMatchObject({ met: false });
    expect(bansFigure({ ...one, tries: tries(yes, yes, yes, no), others: tries(yes, no) })).toMatchObject({
      met: false,
    });
  });

  it('of a limit alone wants that it stops', () => {
    const one = { kind: 'web', version: 6, on: ['nginx limits'], others } as const;
    expect(bansFigure({ ...one, tries: tries(yes, 'limited', 'limited') })).toMatchObject({
      met: true,
      figure: 'stopped after 1 tries',
    });
    expect(bansFigure({ ...one, tries: tries(yes, yes) })).toMatchObject({ met: false });
  });
});

it('the page shows what is below its goal, with what stands in the way', () => {
  const figures = [
    { id: 'a', title: 'A', figure: '1', goal: '0', met: false, tool: 't 1', below: ['x | y'] },
    { id: 'b', title: 'B', figure: '2', tool: 't 2', data: 'today', below: [] },
  ];
  const page = scorePage({
    title: 'T',
    subject: 's',
    system: 'd',
    machine: 'virt',
    day: '2026-01-01',
    figures,
    exceptions: {},
  });
  expect(page).toContain('| A | 1 | 0 | **below** | t 1 |');
  expect(page).toContain('- A: `x | y`.');
  expect(page).toContain('| B | 2 |  |  | t 2; today |');
});

describe('parts of a report', () => {
  const figure = (id: string, text: string) => ({ id, title: id, figure: text, tool: 't', below: [] });
  const part = { subject: 'a', system: 's', machine: 'virt', day: '2026-01-02' };

  it('make one, in the usual order, the later figure instead of the earlier one', () => {
    const whole = mergeReports([
      { ...part, figures: [figure('ports/ipv4', '1'), figure('tls/grade', 'B')] },
      { ...part, day: '2026-01-01', figures: [figure('tls/grade', 'A+'), figure('cost/memory', '3')] },
    ]);
    expect(whole.figures.map((one) => `${one.id} ${one.figure}`)).toEqual([
      'cost/memory 3',
      'tls/grade A+',
      'ports/ipv4 1',
    ]);
    expect(whole.day).toBe('2026-01-01 and 2026-01-02');
  });

  it('of two images make none', () => {
    const two = [part, { ...part, subject: 'b' }].map((one) => ({ ...one, figures: [] }));
    expect(() => mergeReports(two)).toThrow(/two images/);
  });
});

it('the scanners are in no list of the image', () => {
  const lock = readFileSync('config/amslpr.lock.yaml', 'utf8');
  const image = lock.slice(0, lock.indexOf('toolboxes:'));
  expect(image).not.toMatch(/^\s*- (lynis|nmap|openscap-scanner|ssh-audit|sslscan|testssl\.sh) /m);
  expect(image).toMatch(/^\s*- openssh-server /m);
});
