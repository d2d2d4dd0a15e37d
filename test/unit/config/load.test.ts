import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../../src/config/load.ts';
import { UserError } from '../../../src/core/errors.ts';
import { describeError } from '../../../src/ui/errors.ts';
import { paintWith } from '../../../src/ui/text.ts';
import { stages } from '../../../stages/index.ts';
import { malformed } from './malformed.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'amslpr-config-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function load(content: string | Uint8Array): unknown {
  const file = join(folder, 'amslpr.yaml');
  writeFileSync(file, content);
  return loadConfig(file, stages);
}

/** What was thrown, which has to be an error for users. */
function refusal(content: string | Uint8Array): UserError {
  try {
    load(content);
  } catch (error) {
    if (error instanceof UserError) return error;
    throw error;
  }
  throw new Error('it was accepted');
}

describe('malformed configurations', () => {
  it('are more than a hundred', () => {
    expect(malformed.length).toBeGreaterThan(100);
  });

  it.each(malformed)('%s', (_what, content, lines, words) => {
    const started = process.cpuUsage();
    const error = refusal(content);
    expect(process.cpuUsage(started).user).toBeLessThan(2_000_000);
    expect(error.problems.map(({ where }) => where?.line)).toEqual(lines);
    expect(error.message).toContain(words);
    const { text, code } = describeError(error, { paint: paintWith(false), width: 80 });
    expect(code).toBe(2);
    expect(text).not.toMatch(/^\s+at .*:\d+:\d+/m);
    for (const { where, hint, frame } of error.problems) {
      expect(where?.file).toBe(join(folder, 'amslpr.yaml'));
      expect(hint).toMatch(/\S/);
      if (where?.line !== undefined) expect(frame).toMatch(/\^$/);
    }
  });
});

describe('messages', () => {
  const first = (content: string): string => {
    const { message = '', hint = '' } = refusal(content).problems[0] ?? {};
    return `${message} | ${hint}`;
  };

  it.each([
    ['sshdd:\n  port: 22\n', 'sshdd is not an option here | Did you mean sshd?'],
    ['sshd:\n  maxAuthTrise: 4\n', 'maxAuthTrise is not an option of sshd | Did you mean maxAuthTries?'],
    ['nginx:\n  scripts: inlin\n', 'Did you mean inline?'],
    ['sshd:\n  zzzz: 4\n', 'Allowed here: port, maxAuthTries, idleMinutes.'],
    ['sshd:\n  port: 0\n', 'sshd.port must be >= 1; found 0'],
    ['kernel:\n  usbStorage: no\n', 'Write true or false; yes, no, on and off are text.'],
    ['base-system:\n  hostname: 12\n', "Put the value in quotes: '…'."],
    ['base-system:\n  hostname: A B\n', 'For example: gate-north'],
  ])('%j', (content, words) => {
    expect(first(content)).toContain(words);
  });

  it('come all at once, in the order of the file', () => {
    const problems = refusal('sshd:\n  port: 0\nnope: 1\nkernel:\n  usbStorage: no\n  panicSeconds: 0\n').problems;
    expect(problems.map(({ where }) => where?.line)).toEqual([2, 3, 5, 6]);
  });

  it('show the place', () => {
    expect(refusal('name: amslpr\nsshd:\n  port: "22"\n').problems[0]).toMatchObject({
      where: { line: 3, column: 3 },
      frame: '1 | name: amslpr\n2 | sshd:\n3 |   port: "22"\n  |   ^',
    });
  });

  it('name a file that cannot be read', () => {
    const why = (file: string): string => {
      try {
        loadConfig(file, stages);
      } catch (error) {
        if (error instanceof UserError) return error.message;
      }
      return 'it was accepted';
    };
    expect(why(join(folder, 'none.yaml'))).toContain('none.yaml does not exist');
    expect(why(folder)).toContain('is a folder');
    expect(why('/dev/zero')).toContain('more than 256 KiB');
  });
});

describe('accepted configurations', () => {
  const options = (content: string): Record<string, unknown> =>
    (load(content) as { stages: Record<string, unknown> }).stages;

  it.each([
    '',
    '# nothing\n',
    '---\n',
    '{}\n',
    '---\nname: amslpr\n...\n',
    '\ufeffname: amslpr\r\nsshd:\r\n  port: 22\r\n',
  ])('%j has every default', (content) => {
    expect(options(content)).toEqual(options('name: amslpr\n'));
  });

  it('take text that YAML 1.1 would take for something else', () => {
    expect(options('updates:\n  rebootTime: 12:30\n')['updates']).toMatchObject({ rebootTime: '12:30' });
    expect(options('base-system:\n  hostname: no\n')['base-system']).toMatchObject({ hostname: 'no' });
    expect(options('base-system:\n  hostname: 0x1f\n')['base-system']).toMatchObject({ hostname: '0x1f' });
  });

  it('leave a stage out that is false, and keep one whose options are all comments', () => {
    const all = options('backup: false\nsshd:\n  # port: 23\n');
    expect(all['backup']).toBe(false);
    expect(all['sshd']).toMatchObject({ port: 22 });
  });
});
