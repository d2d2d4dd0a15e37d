import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { UserError } from '../../src/core/errors.ts';
import { built, file, run, runBook } from '../../src/core/shorthand.ts';
import { type AnyStage, defineStage, Type } from '../../src/core/stage.ts';
import { checksOf, defaultContributions } from '../../src/report/contributions.ts';
import { coveragePage } from '../../src/report/coverage.ts';
import type { Finding } from '../../src/report/findings/finding.ts';
import { findings } from '../../src/report/findings/index.ts';
import { findingsPart } from '../../src/report/findings.ts';
import { guideNumbers } from '../../src/report/guide-items.ts';
import { referencePage } from '../../src/report/reference.ts';
import { plainSecrets, secretsPage } from '../../src/report/secrets.ts';
import { stages } from '../../stages/index.ts';

const docs = join(import.meta.dirname, '../../docs');
const runBooks = new Set(readdirSync(join(docs, 'runbooks')).map((name) => name.replace(/\.md$/, '')));
const all = defaultContributions(stages);
const checks = checksOf(all);
const read = (path: string): string | undefined => {
  const file = join(docs, '..', path);
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
};
const beyond = findingsPart(findings, { checks, runBooks, read });

/** What coveragePage says is wrong, one message a line. */
function complaints(of: readonly AnyStage[], books = runBooks): string {
  try {
    coveragePage(of, checksOf(defaultContributions(of)), books);
    return '';
  } catch (error) {
    if (error instanceof UserError) return error.message;
    throw error;
  }
}

/** A stage that answers all items but those in `without`, as a run-book that is there. */
function answering(changes: AnyStage['guide'], without: readonly number[] = []): AnyStage {
  const rest = guideNumbers.filter((item) => !without.includes(item) && !(item in changes));
  return defineStage({
    name: 'everything',
    title: 'Answer the guide',
    about: '',
    guide: { ...Object.fromEntries(rest.map((item) => [item, runBook('review', 'by hand')])), ...changes },
    options: Type.Object({}),
    contribute: () => ({
      checks: {
        proof: file('A fact', '/etc/fact', { guide: [7, 9] }),
        again: run('A fact', 'cat /etc/fact', { guide: [7, 10], matches: /./ }),
      },
    }),
  });
}

it('the page of secrets is current: `npm run docs` writes it', () => {
  expect(readFileSync(join(docs, 'secrets.md'), 'utf8')).toBe(secretsPage(plainSecrets(all)));
});

describe('the coverage page', () => {
  it('numbers the 67 items of the guide', () => {
    expect(guideNumbers).toEqual(Array.from({ length: 67 }, (_, index) => index + 1));
  });

  it('is current: `npm run docs` writes it', () => {
    expect(readFileSync(join(docs, 'guide-coverage.md'), 'utf8')).toBe(coveragePage(stages, checks, runBooks, beyond));
  });

  it('takes a stage that answers everything', () => {
    expect(complaints([answering({ 7: built('in the image') })])).toBe('');
  });

  it('takes an item with checks of one kind when the stage says why, and shows it', () => {
    const stage = answering({ 9: built('in the image', 'The image is all there is.') });
    const page = coveragePage([stage], checksOf(defaultContributions([stage])), runBooks);
    expect(page).toMatch(/^\| 9 \| .*in the image<br>The image is all there is\./m);
  });

  it.each([
    [
      'an item that nobody answers',
      answering({}, [14, 51]),
      'No stage answers item 14 of the guide\nNo stage answers item 51 of the guide',
    ],
    [
      'a built item without a check',
      answering({ 8: built('in the image') }),
      'Stage everything builds item 8, and no check proves it',
    ],
    [
      'a built item that is checked in the image alone',
      answering({ 9: built('in the image') }),
      'Stage everything builds item 9, and it is only checked in the image',
    ],
    [
      'a built item that is checked in the guest alone',
      answering({ 10: built('in the image') }),
      'Stage everything builds item 10, and it is only checked in the guest',
    ],
    [
      'a reason for one kind where there are both',
      answering({ 7: built('in the image', 'Why not.') }),
      'Stage everything says why item 7 has checks of one kind, and it has both',
    ],
    [
      'a run-book that is not there',
      answering({ 9: runBook('dreams', '') }),
      'Item 9 of stage everything needs docs/runbooks/dreams.md, which is not there',
    ],
    [
      'a number that the guide does not have',
      answering({ 68: runBook('review', '') }),
      'Stage everything answers item 68, and the guide has none of that number',
    ],
  ])('refuses %s', (_what, stage, message) => {
    expect(complaints([stage])).toBe(message);
  });
});

describe('what goes beyond the text of the guide', () => {
  const about = { finding: 'A line does nothing', why: 'It cannot.' };
  const part = (finding: Finding): string =>
    findingsPart([{ title: 'One', about: '', findings: [finding] }], { checks, runBooks, read });

  it('says of each finding what is done, why, and what shows it', () => {
    const finding: Finding = {
      ...about,
      items: [9, 13],
      answer: 'It is left out.',
      checks: ['folders/logs'],
      tests: ['test/python/test_wrapper.py: test_redirects_stay_here'],
      runBooks: ['review'],
    };
    expect(part(finding)).toContain(
      '| A line does nothing (items 9, 13) | It is left out. | It cannot. | [review](runbooks/review.md), `folders/logs`, [redirects stay here](../test/python/test_wrapper.py) |',
    );
  });

  it('says so where nothing is done', () => {
    expect(part(about)).toContain('| A line does nothing | Nothing is done. | It cannot. |  |');
  });

  it.each<[string, Partial<Finding>, string]>([
    [
      'a check that is not there',
      { answer: 'Yes.', checks: ['folders/logs', 'folders/dreams'] },
      'names the check folders/dreams, which is not there',
    ],
    [
      'a test that is not there',
      { answer: 'Yes.', tests: ['test/python/test_dreams.py: test_one'] },
      'names the test test/python/test_dreams.py: test_one, which is not there',
    ],
    [
      'a test whose file has none of that name',
      { answer: 'Yes.', tests: ['test/python/test_wrapper.py: test_dreams'] },
      'names the test test/python/test_wrapper.py: test_dreams, which is not there',
    ],
    [
      'a run-book that is not there',
      { answer: 'Yes.', runBooks: ['dreams'] },
      'needs docs/runbooks/dreams.md, which is not there',
    ],
    ['an item that the guide does not have', { items: [68] }, 'names item 68, and the guide has none of that number'],
    ['an answer that nothing shows', { answer: 'Yes.' }, 'is answered, and nothing shows it'],
    ['proof without an answer', { checks: ['folders/logs'] }, 'has no answer, and names proof of one'],
  ])('refuses %s', (_what, change, message) => {
    expect(() => part({ ...about, ...change })).toThrow(new UserError(`The finding "A line does nothing" ${message}`));
  });
});

describe('the reference page', () => {
  it('is current: `npm run docs` writes it', () => {
    expect(readFileSync(join(docs, 'reference.md'), 'utf8')).toBe(referencePage(all));
  });

  it('has every stage, option and check', () => {
    const page = referencePage(all);
    for (const { name, options } of stages) {
      expect(page).toContain(`\n## ${name}\n`);
      for (const option of Object.keys(options.properties)) expect(page).toContain(`| \`${option}\` |`);
    }
    for (const { id } of checks) expect(page).toContain(`\`${id}\``);
  });
});

describe('every stage', () => {
  it('describes each of its options', () => {
    const silent = stages.flatMap(({ name, options }) =>
      Object.entries(options.properties)
        .filter(([, schema]) => !(schema as { description?: string }).description)
        .map(([option]) => `${name}.${option}`),
    );
    expect(silent).toEqual([]);
  });

  it('has checks, with ids of small letters', () => {
    for (const { stage, parts } of all) {
      const keys = parts.flatMap((part) => Object.keys(part.checks ?? {}));
      expect(keys.length, stage.name).toBeGreaterThan(0);
      for (const key of keys) expect(key).toMatch(/^[a-z0-9][a-z0-9.-]*$/);
    }
  });

  // The device compiles them with Python's re, which knows these flags by the same letters.
  it('asks the device in expressions that mean the same there', () => {
    const wrong = checks.flatMap((check) =>
      check.kind === 'run'
        ? [check.matches ?? [], check.lacks ?? []]
            .flat()
            .filter(({ flags, source }) => !/^[ims]*$/.test(flags) || /\(\?<[a-z]|\\[pPk]\{?/.test(source))
            .map((one) => `${check.id}: ${one}`)
        : [],
    );
    expect(wrong).toEqual([]);
  });

  it('has no fact about the device that nothing could refute', () => {
    const empty = checks.filter(
      (check) => check.kind === 'run' && [check.lacks ?? []].flat().some((one) => one.test('')),
    );
    expect(empty.map(({ id }) => id)).toEqual([]);
  });
});

describe('the page of tests', () => {
  it('has every test that takes longer, and no other', () => {
    const listed = [...readFileSync(join(docs, 'tests.md'), 'utf8').matchAll(/^\| `([a-z0-9-]+)` \|/gm)].map(
      ([, name]) => name,
    );
    const there = readdirSync(join(docs, '../test/extended')).map((name) => name.replace(/\.test\.ts$/, ''));
    expect(listed).toEqual(there.sort());
  });
});
