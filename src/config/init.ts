import { dump } from 'js-yaml';
import type { TSchema } from 'typebox';
import type { AnyStage } from '../core/stage.ts';
import { optionText } from './option-text.ts';

/** What somebody chose already; everything else is written with its default. */
export interface InitAnswers {
  readonly name: string;
  /** Stage to option to value. */
  readonly options: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

const WIDTH = 80;

/**
 * A configuration with every stage and option, each with its default and what it means. Options without a default stand
 * there as a comment. `schema` is how the file refers to the JSON Schema.
 */
export function configText(stages: readonly AnyStage[], answers: InitAnswers, schema: string): string {
  const parts = stages.map((stage) => stageText(stage, answers.options[stage.name] ?? {}));
  return [
    `# yaml-language-server: $schema=${schema}`,
    '',
    '# What goes into the image. Every line can be left out: then the default stands, which',
    '# is what is written here. `false` in place of its options leaves a whole stage out.',
    '',
    "# Stem of the output files' names.",
    `name: ${scalar(answers.name)}`,
    '',
    '# Where the root file system starts.',
    'base:',
    "  # debian: bootstrapped from Debian's arm64 packages. raspios: an image file of",
    '  # Raspberry Pi OS Lite, trixie, 64 bits, which `image` names by its path or URL.',
    '  kind: debian',
    '  # image:',
    '  # SHA-256 of that file as it is downloaded; needed for a URL.',
    '  # sha256:',
    "  # Package archive to take instead of the host's own: a URL whose dists/ holds trixie.",
    '  # mirror:',
    ...parts,
    '',
  ].join('\n');
}

function stageText(stage: AnyStage, chosen: Readonly<Record<string, unknown>>): string {
  const options = Object.entries(stage.options.properties).map(([name, schema]) =>
    optionLines(name, schema, chosen[name]).join('\n'),
  );
  const head = comment(`${stage.title}. ${stage.about}`, '');
  // An empty map says that the stage is in, and holds nothing to set.
  const body = options.length === 0 ? `${stage.name}: {}` : [`${stage.name}:`, ...options].join('\n');
  return `\n${head}\n${body}`;
}

function optionLines(name: string, schema: TSchema, chosen: unknown): string[] {
  const { default: preset } = schema as { default?: unknown };
  const value = chosen ?? preset;
  return [comment(optionText(schema), '  '), value === undefined ? `  # ${name}:` : `  ${name}:${valueText(value)}`];
}

function comment(text: string, indent: string): string {
  const lines: string[] = [];
  let line = `${indent}#`;
  for (const word of text.split(/\s+/)) {
    if (line.length + 1 + word.length > WIDTH && line !== `${indent}#`) {
      lines.push(line);
      line = `${indent}#`;
    }
    line += ` ${word}`;
  }
  return [...lines, line].join('\n');
}

const scalar = (value: unknown): string => dump(value, { lineWidth: -1 }).trimEnd();

/** What stands after `name:`, below the indentation of an option. */
function valueText(value: unknown): string {
  const empty = typeof value === 'object' && value !== null && Object.keys(value).length === 0;
  if (empty) return Array.isArray(value) ? ' []' : ' {}';
  // Times and octal numbers are text here, but other YAML readers take them for numbers.
  if (typeof value === 'string')
    return ` ${/^[a-z][a-z-]*$/i.test(value) ? scalar(value) : `'${value.replaceAll("'", "''")}'`}`;
  if (typeof value !== 'object') return ` ${scalar(value)}`;
  return `\n${scalar(value).replace(/^/gm, '    ')}`;
}
