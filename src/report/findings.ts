import type { PlannedCheck } from '../core/check.ts';
import { type Problem, UserError } from '../core/errors.ts';
import type { Finding, FindingSection } from './findings/finding.ts';
import { guideNumbers } from './guide-items.ts';

/** What findings may refer to. */
export interface Known {
  readonly checks: readonly PlannedCheck[];
  /** Names (without .md) of the files in docs/runbooks. */
  readonly runBooks: ReadonlySet<string>;
  /** The text of a file of the project, or undefined where there is none. */
  readonly read: (path: string) => string | undefined;
}

/**
 * The part of docs/guide-coverage.md that goes beyond the guide's text: what is wrong with it or missing from it, with
 * our answer. Throws a UserError that names every check, test, run-book or item that is not there, every answer
 * without a proof, and every proof of nothing.
 */
export function findingsPart(sections: readonly FindingSection[], known: Known): string {
  const problems = sections.flatMap(({ findings }) => findings.flatMap((finding) => wrong(finding, known)));
  if (problems.length > 0) throw new UserError(problems);
  const all = sections.flatMap(({ findings }) => findings);
  const undone = all.filter(({ answer }) => answer === undefined).length;
  return [
    "## Beyond the guide's text",
    '',
    `The guide describes AMSLPR as it was planned: some of its text would break the system, some contradicts itself, and some is about code that does not exist. Its intent also needs things that it does not name. These are ${all.length} such findings with our answers; ${undone} of them have none, and say why. What is said of AMSLPR is about its public source up to November 2025, which is not part of this project and was not run in an image: tests use a stand-in of our own with the same layout, routes and faults.`,
    '',
    ...sections.flatMap(({ title, about, findings }) => [
      `### ${title}`,
      '',
      about,
      '',
      '| finding | our answer | reason | proof |',
      '| --- | --- | --- | --- |',
      ...findings.map(row),
      '',
    ]),
  ]
    .join('\n')
    .trimEnd()
    .concat('\n');
}

function wrong(one: Finding, { checks, runBooks, read }: Known): Problem[] {
  const named = JSON.stringify(one.finding);
  const ids = new Set(checks.map(({ id }) => id));
  const problem = (message: string): Problem => ({ message: `The finding ${named} ${message}` });
  const proofs = [one.checks ?? [], one.tests ?? [], one.runBooks ?? []].flat().length;
  return [
    ...(one.items ?? [])
      .filter((item) => !guideNumbers.includes(item))
      .map((item) => problem(`names item ${item}, and the guide has none of that number`)),
    ...(one.checks ?? [])
      .filter((id) => !ids.has(id))
      .map((id) => problem(`names the check ${id}, which is not there`)),
    ...(one.runBooks ?? [])
      .filter((name) => !runBooks.has(name))
      .map((name) => problem(`needs docs/runbooks/${name}.md, which is not there`)),
    ...(one.tests ?? [])
      .filter((test) => !isThere(test, read))
      .map((test) => problem(`names the test ${test}, which is not there`)),
    ...(one.answer !== undefined && proofs === 0 ? [problem('is answered, and nothing shows it')] : []),
    ...(one.answer === undefined && proofs > 0 ? [problem('has no answer, and names proof of one')] : []),
  ];
}

const parts = (test: string): [file: string, name: string] => {
  const at = test.indexOf(': ');
  return [test.slice(0, at), test.slice(at + 2)];
};

function isThere(test: string, read: Known['read']): boolean {
  const [file, name] = parts(test);
  return read(file)?.includes(name) ?? false;
}

function row({ finding, items = [], answer, why, checks = [], tests = [], runBooks = [] }: Finding): string {
  const about = items.length === 0 ? '' : ` (item${items.length > 1 ? 's' : ''} ${items.join(', ')})`;
  const proofs = [
    ...runBooks.map((name) => `[${name}](runbooks/${name}.md)`),
    ...checks.map((id) => `\`${id}\``),
    ...tests.map((test) => {
      const [file, name] = parts(test);
      return `[${name.replace(/^test_/, '').replaceAll('_', ' ')}](../${file})`;
    }),
  ];
  const cells = [`${finding}${about}`, answer ?? 'Nothing is done.', why, proofs.join(', ')];
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}
