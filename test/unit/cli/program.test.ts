import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Validator } from 'typebox/schema';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadConfig } from '../../../src/config/load.ts';
import { UserError } from '../../../src/core/errors.ts';
import type { Prompts } from '../../../src/core/prompts.ts';
import { stages } from '../../../stages/index.ts';
import { root, run } from './run.ts';

const verbs = [
  'init',
  'init-site',
  'validate',
  'plan',
  'lock',
  'build',
  'audit',
  'boot',
  'personalize',
  'explain',
  'doctor',
];

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'amslpr-cli-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const configuration = (text: string): string => {
  const file = join(folder, 'test.yaml');
  writeFileSync(file, text);
  return file;
};

describe('help', () => {
  it('lists every verb and the exit codes', async () => {
    const { code, stdout, stderr } = await run(['--help']);
    expect([code, stderr]).toEqual([0, '']);
    for (const verb of verbs) expect(stdout).toMatch(new RegExp(`^  ${verb}\\b`, 'm'));
    for (const number of ['0', '1', '2', '3', '130']) expect(stdout).toMatch(new RegExp(`^  ${number} +[a-z]`, 'm'));
  });

  it.each(verbs)('of %s has one example and fits 80 columns', async (verb) => {
    const { code, stdout } = await run([verb, '--help']);
    expect(code).toBe(0);
    expect(stdout.match(/^Example:\n {2}(sudo )?amslpr-image /gm)).toHaveLength(1);
    expect(stdout).toContain(`amslpr-image ${verb} `.trimEnd());
    expect(stdout.split('\n').filter((line) => line.length > 80)).toEqual([]);
  });

  it('comes by `help` too, and the version by its flag', async () => {
    expect((await run(['help', 'plan'])).stdout).toBe((await run(['plan', '--help'])).stdout);
    expect(await run(['--version'])).toEqual({ code: 0, stdout: '1.2.3\n', stderr: '' });
  });
});

describe('a wrong command line', () => {
  it.each<[argv: string[], message: string, hint: string]>([
    [[], 'A verb is missing', 'One of: init,'],
    [['bild'], "unknown command 'bild'", 'Did you mean build?'],
    [['valdate', 'x'], "unknown command 'valdate'", 'Did you mean validate?'],
    [['validat', 'plan'], "unknown command 'validat'", 'Did you mean validate? `amslpr-image --help`'],
    [['help', 'validte'], "unknown command 'validte'", 'Did you mean validate?'],
    [['cache', 'prnue'], "unknown command 'cache prnue'", 'Did you mean prune?'],
    [['cache', 'frob'], "unknown command 'cache frob'", 'One of: prune, verify, export, import.'],
    [['frobnicate'], "unknown command 'frobnicate'", '`amslpr-image --help` shows'],
    [['--jsn'], "unknown option '--jsn'", '--help` shows'],
    [['plan', 'x', '--jsn'], "unknown option '--jsn'", 'Did you mean --json? `amslpr-image plan --help`'],
    [['build', 'x', '--relase'], "unknown option '--relase'", 'Did you mean --release?'],
    [['plan'], "missing required argument 'file'", '`amslpr-image plan --help`'],
    [['plan', 'a', 'b'], 'too many arguments', '`amslpr-image plan --help`'],
    [['build', 'x', '-o'], "option '-o, --output <folder>' argument missing", '`amslpr-image build --help`'],
    [
      ['personalize', 'a', 'b'],
      "required option '-o, --output <file>' not specified",
      '`amslpr-image personalize --help`',
    ],
    [
      ['audit', 'x', '--json', '--junit'],
      "option '--json' cannot be used with option '--junit'",
      '`amslpr-image audit --help`',
    ],
    [['explain', 'ssdh'], 'There is no stage and no check ssdh', 'Did you mean sshd?'],
    [['explain', 'sshd/no-rot'], 'There is no stage and no check sshd/no-rot', 'Did you mean sshd/no-root?'],
    [['explain', 'zzzzzz'], 'There is no stage and no check zzzzzz', 'Stages: base-system,'],
    [
      ['validate', '/nowhere.yaml'],
      '/nowhere.yaml does not exist',
      '`amslpr-image init /nowhere.yaml` writes a new one',
    ],
  ])('%j', async (argv, message, hint) => {
    const { code, stdout, stderr } = await run(argv);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain(`error: ${message}`);
    expect(stderr.replaceAll('\n  ', ' ')).toContain(hint);
    expect(stderr).not.toMatch(/^\s+at /m);
  });
});

describe('validate', () => {
  it('says nothing on stdout, and what is in a good file', async () => {
    const { code, stdout, stderr } = await run(['validate', configuration('name: amslpr\n')]);
    expect([code, stdout]).toEqual([0, '']);
    expect(stderr).toMatch(/is valid: \d+ stages, \d+ files, \d+\s+checks/);
  });

  it('shows every problem with its place', async () => {
    const file = configuration('name: A B\nsshd:\n  port: no\n');
    const { code, stderr } = await run(['validate', file]);
    expect(code).toBe(2);
    expect(stderr).toContain(`--> ${file}:1:1`);
    expect(stderr).toContain(`--> ${file}:3:3`);
    expect(stderr).toContain('3 |   port: no\n');
    expect(stderr).toMatch(/^2 problems\.$/m);
  });
});

describe('validate with a site file', () => {
  const example = readFileSync(join(root, 'config/sites/example.yaml'), 'utf8');

  it('has it judged by the validator of site files', async () => {
    const { code, stderr } = await run(['validate', configuration(example)]);
    expect([code, stderr.replaceAll(/\s+/g, ' ')]).toEqual([
      0,
      expect.stringContaining('is a valid site file: Example site, host name example-site, unlock method card.'),
    ]);
  });

  it.each<[what: string, text: string | Buffer, message: string]>([
    ['a misspelt field', example.replace('hostname:', 'hostnam:'), '`hostnam` is not known'],
    ['no end', example.replace('...\n', ''), 'the last line is not `...`'],
    ['UTF-16', Buffer.from(`\ufeff${example}`, 'utf16le'), 'the file is UTF-16'],
    ['a byte-order mark', `\ufeff${example.replace(/^#.*\n/gm, '')}`, 'the file starts with a byte-order mark'],
  ])('names what is wrong with %s', async (_what, text, message) => {
    const file = join(folder, 'site.yaml');
    writeFileSync(file, text);
    const { code, stderr } = await run(['validate', file]);
    expect(code).toBe(2);
    expect(stderr).toContain(message);
    expect(stderr).not.toContain('Allowed here');
  });
});

describe('a place that cannot be written', () => {
  it.each([
    [['build', 'CONFIG', '-o', 'BLOCKED/out']],
    [['init', 'BLOCKED/a.yaml', '--defaults']],
    [['init-site', 'BLOCKED/site.yaml']],
    [['recover', 'a@192.0.2.1', '--key', '/nowhere', '-o', 'BLOCKED/a']],
    [['personalize', '/nowhere.img', '/nowhere.yaml', '-o', 'BLOCKED/a.img']],
  ])('is told before the work of %j', async (argv) => {
    const blocked = configuration('');
    const words = argv.map((word) => word.replace('BLOCKED', blocked).replace('CONFIG', blocked));
    const { code, stderr } = await run(words);
    expect(code).toBe(2);
    expect(stderr.replaceAll(/\s+/g, ' ')).toContain('cannot be written');
    expect(stderr).not.toMatch(/^\s+at /m);
  });
});

describe('boot', () => {
  it('names the file that is no image, as it was given', async () => {
    const file = configuration('name: amslpr\n');
    expect((await run(['boot', file])).stderr).toContain(`${file} is no image of a card`);
    expect((await run(['recover', folder, '--key', file])).stderr).toContain(`${folder} is a folder`);
    expect(await run(['boot', join(folder, 'none.img')])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('no such file'),
    });
  });
});

describe('plan', () => {
  it('prints JSON that another program reads', async () => {
    const { code, stdout, stderr } = await run(['plan', configuration('name: north\n'), '--json']);
    expect([code, stderr]).toEqual([0, '']);
    expect(JSON.parse(stdout)).toMatchObject({ name: 'north', digest: expect.stringMatching(/^[0-9a-f]{64}$/) });
  });

  it('tells what changed since the last build', async () => {
    const file = configuration('name: north\n');
    const json = (await run(['plan', file, '--json'])).stdout;
    writeFileSync(join(folder, 'north.plan.json'), json);
    expect((await run(['plan', file, '-o', folder])).stdout).toMatch(/Changes since the last build .*\n {2}none\n$/);
    configuration('name: north\nsshd:\n  port: 2222\n');
    const { stdout } = await run(['plan', file, '-o', folder]);
    expect(stdout).toContain('~ file /etc/ssh/sshd_config: content');
  });

  it('takes a damaged record for none', async () => {
    writeFileSync(join(folder, 'north.plan.json'), '{"digest": 1');
    const { code, stdout } = await run(['plan', configuration('name: north\n'), '-o', folder]);
    expect(code).toBe(0);
    expect(stdout).not.toContain('Changes since');
  });
});

describe('explain', () => {
  it.each(stages.map(({ name }) => name))('%s', async (name) => {
    const { code, stdout } = await run(['explain', name]);
    expect(code).toBe(0);
    expect(stdout).toContain(`${name}: `);
    expect(stdout).toContain(`  ${name}/`);
    expect(stdout.split('\n').filter((line) => line.length > 80 && line.trim().includes(' '))).toEqual([]);
  });

  it('a check: what is asked, why, the guide, and what to change', async () => {
    const { stdout } = await run(['explain', 'sshd/policy']);
    for (const part of [
      'Only root reads the policy',
      '/^PasswordAuthentication no$/m',
      'Why',
      '5. SSH',
      'maxAuthTries',
    ]) {
      expect(stdout).toContain(part);
    }
  });
});

describe('init', () => {
  it('writes a configuration with every stage and option that validates', async () => {
    const file = join(folder, 'deep', 'north.yaml');
    const { code } = await run(['init', file, '--name', 'north', '--ssh-port', '2222', '--hostname', 'gate']);
    expect(code).toBe(0);
    const config = loadConfig(file, stages);
    expect(config.name).toBe('north');
    expect(config.stages).toMatchObject({ sshd: { port: 2222 }, 'base-system': { hostname: 'gate' } });
    const text = readFileSync(file, 'utf8');
    expect(text).toMatch(/^# yaml-language-server: \$schema=\S+\/config\/amslpr\.schema\.json\n/);
    for (const { name, options } of stages) {
      expect(text).toMatch(new RegExp(`^${name}:`, 'm'));
      for (const option of Object.keys(options.properties)) expect(text).toMatch(new RegExp(`^  (# )?${option}:`, 'm'));
    }
    expect(text.split('\n').filter((line) => line.length > 90)).toEqual([]);
  });

  it('writes defaults that are the defaults', async () => {
    const file = join(folder, 'a.yaml');
    await run(['init', file]);
    expect(loadConfig(file, stages)).toEqual(loadConfig(configuration(''), stages));
  });

  it('overwrites nothing', async () => {
    const file = configuration('mine\n');
    const { code, stderr } = await run(['init', file]);
    expect([code, readFileSync(file, 'utf8')]).toEqual([2, 'mine\n']);
    expect(stderr).toContain('is there already');
  });

  it.each([
    [['--ssh-port', 'none'], 'sshd.port must be a whole number'],
    [['--ssh-port', '70000'], 'sshd.port must be <= 65535'],
    [['--name', 'A B'], 'name has not the form'],
    [['--hostname', "x'y"], 'base-system.hostname has not the form'],
  ])('writes nothing for %j', async (flags, message) => {
    const file = join(folder, 'a.yaml');
    const { code, stderr } = await run(['init', file, ...flags]);
    expect(code).toBe(2);
    expect(stderr).toContain(message);
    expect(() => readFileSync(file)).toThrow('ENOENT');
  });

  const answering = (answers: readonly string[]): Prompts => {
    const left = [...answers];
    return {
      text: async ({ check }) => {
        const answer = left.shift();
        if (answer === undefined) throw new UserError('Interrupted', { exitCode: 130 });
        expect(check?.(answer)).toBeUndefined();
        return answer;
      },
      choose: async () => '',
      confirm: async () => true,
      note: () => undefined,
    };
  };

  it('asks for what the flags leave open', async () => {
    const file = join(folder, 'a.yaml');
    expect((await run(['init', file, '--name', 'south'], answering(['gate-south', '2022', '']))).code).toBe(0);
    expect(loadConfig(file, stages)).toMatchObject({
      name: 'south',
      stages: { sshd: { port: 2022 }, 'base-system': { hostname: 'gate-south' } },
    });
  });

  it('writes nothing when it is interrupted', async () => {
    const file = join(folder, 'a.yaml');
    expect((await run(['init', file], answering(['south']))).code).toBe(130);
    expect(() => readFileSync(file)).toThrow('ENOENT');
  });
});

describe('generated files', () => {
  const read = (name: string): string => readFileSync(join(root, 'config', name), 'utf8');

  it('are current: `npm run generate` writes them', async () => {
    const { configText } = await import('../../../src/config/init.ts');
    const { schemaText } = await import('../../../src/config/schema.ts');
    expect(read('amslpr.schema.json')).toBe(schemaText(stages));
    expect(read('amslpr.yaml')).toBe(configText(stages, { name: 'amslpr', options: {} }, './amslpr.schema.json'));
  });

  it('the schema takes what we take: nothing with a default is required', () => {
    const schema = new Validator({}, JSON.parse(read('amslpr.schema.json')));
    for (const good of [{}, { sshd: {} }, { sshd: { port: 23 }, backup: false }]) expect(schema.Check(good)).toBe(true);
    for (const bad of [{ sshd: { prot: 23 } }, { sshd: true }, { nope: 1 }, []]) expect(schema.Check(bad)).toBe(false);
  });
});
