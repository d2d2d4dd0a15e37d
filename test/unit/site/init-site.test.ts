import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { UserError } from '../../../src/core/errors.ts';
import type { Prompts } from '../../../src/core/prompts.ts';
import { initSite } from '../../../src/site/init-site.ts';
import { unlockMethods } from '../../../src/site/unlock-methods.ts';
import { validateSite, validateSiteText } from '../../../src/site/validate.ts';

const PUBLIC_KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHbUU3H/KfBnxGEpVYKFz7uguY6pAE66EUqg9TdbbnKI alex@example';
const RECIPIENT = 'age1uvg6n2mnvjcfhce3xhves2gffdftf9nk4lv7ds0qx7anvjtkdq5qxgtdud';

/** Of no server. */
const THUMBPRINT = 'U2ludHJhIHRodW1icHJpbnQgb2Ygbm8gc2VydmVyISE';

let folder: string;
let key: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'amslpr-init-site-'));
  key = join(folder, 'alex.pub');
  file = join(folder, 'site.yaml');
  writeFileSync(key, `${PUBLIC_KEY}\n`);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const flags = () => ({ name: 'North gate', admin: [`alex=${key}`], unlock: 'card', recipient: [RECIPIENT] });

async function problems(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof UserError)) throw new Error(`no UserError: ${String(error)}`);
  return error.problems.map(({ message, hint }) => `${message}; ${hint ?? ''}`).join('\n');
}

describe('init-site with flags', () => {
  it('writes a file of mode 600 that validates and ends with the end of the document', async () => {
    await initSite(file, flags());
    const { site } = await validateSite(file);
    expect(site).toMatchObject({ name: 'North gate', hostname: 'north-gate', unlock: { method: 'card' } });
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readFileSync(file, 'utf8')).toMatch(/\n\.\.\.\n$/);
  });

  it('tells every missing flag at once, with the methods in two lines each', async () => {
    const text = await problems(initSite(file, {}));
    for (const flag of ['--name', '--unlock', '--admin']) expect(text).toContain(`${flag} is missing`);
    for (const { method, lines } of unlockMethods) for (const line of [method, ...lines]) expect(text).toContain(line);
  });

  it.each([
    [{ unlock: 'tpm2' }, { method: 'tpm2' }],
    [
      { unlock: 'tpm2', pin: true },
      { method: 'tpm2', pin: true },
    ],
    [{ unlock: 'usb-key' }, { method: 'usb-key' }],
    [
      { unlock: 'tang', tangUrl: 'http://tang.example:7500', tangThumbprint: THUMBPRINT },
      { method: 'tang', tang: { url: 'http://tang.example:7500', thumbprint: THUMBPRINT } },
    ],
  ])('takes the unlock method of %j', async (given, wanted) => {
    await initSite(file, { ...flags(), ...given });
    expect((await validateSite(file)).site.unlock).toEqual(wanted);
  });

  it('tells which flags an unlock method lacks, and which are of another one', async () => {
    const tang = await problems(initSite(file, { ...flags(), unlock: 'tang', pin: true }));
    for (const text of ['--tang-url is missing', '--tang-thumbprint is missing', '--pin is for --unlock tpm2 only']) {
      expect(tang).toContain(text);
    }
    expect(await problems(initSite(file, { ...flags(), tangUrl: 'http://x' }))).toContain('is for --unlock tang only');
    const wrong = { unlock: 'tang', tangUrl: 'http://tang.example', tangThumbprint: 'short' };
    expect(await problems(initSite(file, { ...flags(), ...wrong }))).toContain('is no thumbprint');
  });

  it('makes no recovery key when the file would be refused', async () => {
    const recovery = join(folder, 'recovery.key');
    const { recipient: _, ...rest } = flags();
    await problems(initSite(file, { ...rest, name: '!', newRecipient: recovery }));
    expect(() => statSync(recovery)).toThrow();
    expect(() => statSync(file)).toThrow();
  });

  it('makes an age key that only its owner reads, and encrypts to it', async () => {
    const recovery = join(folder, 'recovery.key');
    const { recipient: _, ...rest } = flags();
    expect(await initSite(file, { ...rest, newRecipient: recovery })).toMatchObject({ recoveryKey: recovery });
    expect(statSync(recovery).mode & 0o777).toBe(0o600);
    const made = /age1[0-9a-z]+/.exec(readFileSync(recovery, 'utf8'))?.[0];
    expect(readFileSync(file, 'utf8')).toContain(made);
  });

  it('refuses a single way to recover that nobody accepted', async () => {
    const { recipient: _, ...rest } = flags();
    expect(await problems(initSite(file, rest))).toContain('a single key can open the recovery bundle');
    await initSite(file, { ...rest, singleRecipientAccepted: 'Alex' });
  });

  it.each([
    ['a private key', '-----BEGIN OPENSSH PRIVATE KEY-----\n', 'is a private key'],
    ['an empty file', '# nothing\n', 'holds no key'],
    ['an old type of key', 'ssh-dss AAAAB3NzaC1kc3M= old\n', 'ssh-dss'],
  ])('refuses %s', async (_, content, reason) => {
    writeFileSync(key, content);
    expect(await problems(initSite(file, flags()))).toContain(reason);
    expect(() => statSync(file)).toThrow();
  });

  it('never overwrites a file unless told', async () => {
    writeFileSync(file, 'mine');
    expect(await problems(initSite(file, flags()))).toContain('is there already');
    await initSite(file, { ...flags(), force: true });
    await validateSite(file);
  });
});

it('asks for what the flags leave open, and shows what each method keeps', async () => {
  const asked: string[] = [];
  const notes: string[] = [];
  const prompts: Prompts = {
    async text({ message, initial }) {
      asked.push(message);
      if (/call the site/.test(message)) return 'South gate';
      if (/public key/.test(message) && /File/.test(message)) return key;
      if (/Recipient/.test(message)) return RECIPIENT;
      return initial ?? 'alex';
    },
    async choose() {
      return 'passphrase';
    },
    async confirm() {
      return false;
    },
    note(text) {
      notes.push(text);
    },
  };
  await initSite(file, {}, prompts);
  expect((await validateSite(file)).site).toMatchObject({ hostname: 'south-gate', unlock: { method: 'passphrase' } });
  expect(notes.join('\n')).toMatch(/tampered and returned/);
  expect(asked.length).toBeGreaterThan(3);
});

it('the example site validates', async () => {
  const example = fileURLToPath(new URL('../../../config/sites/example.yaml', import.meta.url));
  expect((await validateSite(example)).site.name).toBe('Example site');
});

it('tells each problem of a site file with its line and a frame', async () => {
  const text = 'format: 1\nname: x\nhostnam: y\nadmins:\n  - name: root\n    keys:\n      - nonsense\n...\n';
  const error = await validateSiteText(text, 'site.yaml').then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof UserError)) throw new Error('accepted');
  const typo = error.problems.find(({ message }) => message.includes('`hostnam`'));
  expect(typo?.where).toEqual({ file: 'site.yaml', line: 3, column: 1 });
  expect(typo?.hint).toContain('hostname');
  expect(typo?.frame).toBe('1 | format: 1\n2 | name: x\n3 | hostnam: y\n  | ^');
  expect(error.problems.length).toBeGreaterThan(2);
  expect(error.exitCode).toBe(2);
});
