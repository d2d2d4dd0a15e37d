import { Command } from 'commander';
import { optionText } from '../config/option-text.ts';
import { mostSimilar } from '../config/similar.ts';
import type { PlannedCheck } from '../core/check.ts';
import { EXIT, UserError } from '../core/errors.ts';
import type { AnyStage } from '../core/stage.ts';
import { guideSections } from '../report/guide-items.ts';
import { type Paint, wrap } from '../ui/text.ts';
import type { Verb } from './program.ts';

const WIDTH = 80;

export const explainVerb: Verb = (run, tool) =>
  new Command('explain')
    .summary('tell what a stage or a check is')
    .description('Tells what a stage or a check is, why, which item of the guide it answers, and how to change it.')
    .argument('<name>', 'a stage (sshd) or a check (sshd/no-root)')
    .addHelpText('after', '\nExample:\n  amslpr-image explain sshd/no-root')
    .action(
      run(async (name: string) => {
        const { checksOf, defaultContributions } = await import('../report/contributions.ts');
        const checks = checksOf(defaultContributions(tool.stages));
        const stage = tool.stages.find((one) => one.name === name.split('/')[0]);
        const check = checks.find(({ id }) => id === name);
        if (stage !== undefined && check !== undefined) tool.print(checkText(check, stage, tool.paint));
        else if (stage !== undefined && stage.name === name) tool.print(stageText(stage, checks, tool.paint));
        else throw unknown(name, tool.stages, checks);
        return EXIT.ok;
      }),
    );

function unknown(name: string, stages: readonly AnyStage[], checks: readonly PlannedCheck[]): UserError {
  const names = [...stages.map((stage) => stage.name), ...checks.map(({ id }) => id)];
  const near = mostSimilar(name, names);
  const hint =
    near === undefined ? `Stages: ${stages.map((stage) => stage.name).join(', ')}.` : `Did you mean ${near}?`;
  return new UserError({ message: `There is no stage and no check ${name}`, hint });
}

function stageText(stage: AnyStage, checks: readonly PlannedCheck[], paint: Paint): string {
  const own = checks.filter((check) => check.stage === stage.name);
  return page([
    paint('bold', `${stage.name}: ${stage.title}`),
    ...wrap(stage.about, WIDTH),
    ...(stage.needs === undefined ? [] : ['', `Needs: ${stage.needs.join(', ')}`]),
    ...block('The guide', guideLines(Object.keys(stage.guide).map(Number), stage), paint),
    ...block('Options', optionLines(stage), paint),
    ...block(
      'Checks',
      own.flatMap(({ id, title }) => [`  ${id}`, ...wrap(title, WIDTH, '    ')]),
      paint,
    ),
  ]);
}

function checkText(check: PlannedCheck, stage: AnyStage, paint: Paint): string {
  return page([
    paint('bold', `${check.id}: ${check.title}`),
    ...wrap(
      check.kind === 'run'
        ? 'Asked of the running device, as root (boot --check, or amslpr-device audit).'
        : 'Answered from the finished image file (audit).',
      WIDTH,
    ),
    ...block('What is asked', askedLines(check), paint),
    ...block('Why', check.why === undefined ? [] : wrap(check.why, WIDTH, '  '), paint),
    ...block('The guide', guideLines(check.guide ?? [], stage), paint),
    ...block(
      `How to change it: the stage ${stage.name}`,
      [...wrap(stage.about, WIDTH, '  '), ...optionLines(stage)],
      paint,
    ),
  ]);
}

const page = (lines: readonly string[]): string => `${lines.join('\n')}\n`;

const block = (title: string, lines: readonly string[], paint: Paint): string[] =>
  lines.length === 0 ? [] : ['', paint('bold', title), ...lines];

function guideLines(numbers: readonly number[], stage: AnyStage): string[] {
  return numbers.flatMap((number) => {
    const title = guideSections.map(({ items }) => items[number]).find((text) => text !== undefined) ?? '';
    const answer = stage.guide[number];
    return [
      ...wrap(`${number}. ${title}`, WIDTH, '  ', '      '),
      ...(answer === undefined ? [] : wrap(answer.how, WIDTH, '      ')),
      ...(answer?.runBook === undefined ? [] : [`      docs/runbooks/${answer.runBook}.md`]),
    ];
  });
}

function optionLines(stage: AnyStage): string[] {
  return Object.entries(stage.options.properties).flatMap(([name, schema]) => {
    const { default: preset } = schema as { default?: unknown };
    const value = preset === undefined ? 'no default' : `default ${JSON.stringify(preset)}`;
    return [...wrap(`${name} (${value})`, WIDTH, '  ', '    '), ...wrap(optionText(schema), WIDTH, '    ')];
  });
}

/** The facts of a check as it states them, without what is told elsewhere. */
function askedLines(check: PlannedCheck): string[] {
  const { id: _id, stage: _stage, title: _title, guide: _guide, why: _why, kind: _kind, ...facts } = check;
  return Object.entries(facts).flatMap(([name, fact]) => {
    const values = Array.isArray(fact) && name !== 'run' ? fact : [fact];
    return values.map((value) => `  ${name}: ${factText(value)}`);
  });
}

function factText(value: unknown): string {
  if (value instanceof RegExp || typeof value === 'string') return String(value);
  if (Array.isArray(value)) return value.join(' ');
  return JSON.stringify(value);
}
