import type { PlannedCheck } from '../core/check.ts';
import { type Problem, UserError } from '../core/errors.ts';
import type { AnyStage, GuideAnswer } from '../core/stage.ts';
import { guideNumbers, guideSections } from './guide-items.ts';

interface Answer extends GuideAnswer {
  readonly stage: string;
}

/**
 * The page docs/guide-coverage.md: every item of the guide, how it is met, and its checks or its run-book.
 * `runBooks` are the names (without .md) of the files in docs/runbooks, `beyond` is what follows below. Throws a UserError that names every item
 * without an answer, every item "built" without a check, and every run-book that is named and not there.
 */
export function coveragePage(
  stages: readonly AnyStage[],
  checks: readonly PlannedCheck[],
  runBooks: ReadonlySet<string>,
  beyond = '',
): string {
  const answers = answersOf(stages);
  const problems = findProblems(answers, checks, runBooks);
  if (problems.length > 0) throw new UserError(problems);

  const built = guideNumbers.filter((item) => answers.get(item)?.some(({ by }) => by === 'built')).length;
  return [
    '# Coverage of the hardening guide',
    '',
    '<!-- Generated from the stages and their checks by `npm run docs`. Do not edit. -->',
    '',
    `The guide has ${guideNumbers.length} recommendations. ${built} are met by the image, at least in part; for the others people are needed, and a run-book says what they do. Where the text of the guide would break the system, its intent is built and the line says so. What is built is checked in the image file and again in the booted device, or the line says why one is enough.`,
    '',
    ...guideSections.flatMap(({ title, items }) => [
      `## ${title}`,
      '',
      '| item | recommendation | how it is met | proof |',
      '| --- | --- | --- | --- |',
      ...Object.entries(items).map(([number, name]) => row(Number(number), name, answers, checks)),
      '',
    ]),
  ]
    .join('\n')
    .trimEnd()
    .concat('\n', beyond === '' ? '' : `\n${beyond}`);
}

function answersOf(stages: readonly AnyStage[]): Map<number, Answer[]> {
  const answers = new Map<number, Answer[]>();
  for (const stage of stages) {
    for (const [number, answer] of Object.entries(stage.guide)) {
      const item = Number(number);
      answers.set(item, [...(answers.get(item) ?? []), { ...answer, stage: stage.name }]);
    }
  }
  return answers;
}

function findProblems(
  answers: ReadonlyMap<number, readonly Answer[]>,
  checks: readonly PlannedCheck[],
  runBooks: ReadonlySet<string>,
): Problem[] {
  const known = new Set(guideNumbers);
  const proven = new Set(checks.flatMap(({ guide }) => guide ?? []));
  const missing = guideNumbers
    .filter((item) => !answers.has(item))
    .map((item) => ({
      message: `No stage answers item ${item} of the guide`,
      hint: `Add ${item} to the \`guide\` of a stage, with how it is met or the run-book for it.`,
    }));
  const perAnswer = [...answers].flatMap(([item, list]) => list.flatMap((answer) => wrong(item, answer)));
  const unknown = checks
    .flatMap(({ id, guide }) => (guide ?? []).map((item) => ({ id, item })))
    .filter(({ item }) => !known.has(item))
    .map(({ id, item }) => ({ message: `Check ${id} names item ${item}, and the guide has none of that number` }));
  return [...missing, ...perAnswer, ...unknown];

  function wrong(item: number, { by, stage, runBook }: Answer): Problem[] {
    if (!known.has(item))
      return [{ message: `Stage ${stage} answers item ${item}, and the guide has none of that number` }];
    if (by === 'built' && !proven.has(item)) {
      return [
        {
          message: `Stage ${stage} builds item ${item}, and no check proves it`,
          hint: `Give a check \`guide: [${item}]\`.`,
        },
      ];
    }
    if (by === 'built' && (checkedBy(item, checks).length === 1) !== oneKindOf(item, answers).length > 0) {
      const [kind = ''] = checkedBy(item, checks);
      return [
        checkedBy(item, checks).length > 1
          ? { message: `Stage ${stage} says why item ${item} has checks of one kind, and it has both` }
          : {
              message: `Stage ${stage} builds item ${item}, and it is only checked ${kind}`,
              hint: 'Add a check of the other kind, or say in the second argument of `built` why one is enough.',
            },
      ];
    }
    if (by === 'run-book' && (runBook === undefined || !runBooks.has(runBook))) {
      return [
        { message: `Item ${item} of stage ${stage} needs docs/runbooks/${runBook ?? '?'}.md, which is not there` },
      ];
    }
    return [];
  }
}

/** The kinds of checks that an item has. */
const checkedBy = (item: number, checks: readonly PlannedCheck[]): string[] => [
  ...new Set(
    checks
      .filter(({ guide }) => guide?.includes(item))
      .map(({ kind }) => (kind === 'run' ? 'in the guest' : 'in the image')),
  ),
];

/** Why one kind is enough for it, in the words of its stages. */
const oneKindOf = (item: number, answers: ReadonlyMap<number, readonly Answer[]>): string[] =>
  (answers.get(item) ?? []).flatMap(({ oneKind }) => (oneKind === undefined ? [] : [oneKind]));

function row(
  item: number,
  name: string,
  answers: ReadonlyMap<number, readonly Answer[]>,
  checks: readonly PlannedCheck[],
): string {
  const list = answers.get(item) ?? [];
  const how = list.map((answer) => (list.length > 1 ? `${answer.stage}: ${answer.how}` : answer.how));
  const books = list.flatMap(({ runBook }) => (runBook === undefined ? [] : [`[${runBook}](runbooks/${runBook}.md)`]));
  const proofs = checks.filter(({ guide }) => guide?.includes(item)).map(({ id }) => `\`${id}\``);
  const why = oneKindOf(item, answers);
  const cell = (parts: readonly string[], between: string) => parts.join(between).replaceAll('|', '\\|');
  return `| ${item} | ${name} | ${cell([...how, ...why], '<br>')} | ${cell([...new Set(books), ...proofs], ', ')} |`;
}
