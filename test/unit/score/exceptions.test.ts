import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readExceptions, tailoringFile } from '../../../src/score/exceptions.ts';
import { PROFILES } from '../../../src/score/measures/openscap.ts';

describe('exceptions', () => {
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
      const entry = '{ rule: a, profiles: [p], reason: a reason of more than some words }';
      writeFileSync(file, `lynis: [${entry}]\nnessus: [${entry}]\n`);
      await expect(readExceptions(file)).rejects.toThrow(
        /a takes no profiles[\s\S]*nessus: exceptions are for openscap/,
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('writes a tailoring file that selects out the exceptions of each profile, and changes nothing else', async () => {
    const { openscap = [] } = await readExceptions('config/score.yaml');
    const names = PROFILES.map(({ name }) => name);
    const xml = tailoringFile(openscap, names, '2026-01-01T00:00:00');
    // As a program that knows XML reads it: profile, what it extends, and each of its elements but the title.
    const program = `import sys, json, xml.etree.ElementTree as E
print(json.dumps([[p.get('id'), p.get('extends'), [[e.tag.split('}')[1], e.get('idref'), e.get('selected')] for e in p][1:]]
  for p in E.fromstring(sys.stdin.read()) if p.tag.endswith('}Profile')]))`;
    const read = JSON.parse(execFileSync('/usr/bin/python3', ['-c', program], { input: xml }).toString());
    const id = (kind: string, name: string) => `xccdf_org.ssgproject.content_${kind}_${name}`;
    expect(read).toEqual(
      names.map((name) => [
        `${id('profile', name)}_amslpr`,
        id('profile', name),
        openscap
          .filter(({ profiles }) => profiles.includes(name))
          .map(({ rule }) => ['select', id('rule', rule), 'false']),
      ]),
    );
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
