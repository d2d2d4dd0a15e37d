import type { TSchema } from 'typebox';
import type { Contribution } from '../core/contribution.ts';
import type { StageParts } from './contributions.ts';

/** The page docs/reference.md: each stage with its options, packages, files, units, ports and checks at its defaults. */
export function referencePage(all: readonly StageParts[]): string {
  return [
    '# Reference of the stages',
    '',
    '<!-- Generated from the stages by `npm run docs`. Do not edit. -->',
    '',
    'A stage is a topic of the guide. Its name is its key in the configuration, its folder in `overlays/` and the start of the ids of its checks; `false` in place of its options leaves it out. What follows is what the defaults build.',
    '',
    ...all.map(({ stage }) => `- [${stage.name}](#${stage.name}): ${stage.title}`),
    '',
    ...all.flatMap(stageSection),
  ]
    .join('\n')
    .trimEnd()
    .concat('\n');
}

function stageSection({ stage, parts }: StageParts): string[] {
  const list = <T>(of: (part: Contribution) => readonly T[] | undefined): T[] =>
    parts.flatMap((part) => of(part) ?? []);
  const files = list((part) => part.files).map(({ path, mode, owner }) => `\`${path}\` ${mode} ${owner}`);
  const units = list((part) => Object.entries(part.units ?? {})).map(([unit, is]) => `${unit} ${is}`);
  const ports = list((part) => part.openPorts).map(({ port, protocol, action }) => `${port}/${protocol} (${action})`);
  const checks = list((part) => Object.entries(part.checks ?? {}));
  return [
    `## ${stage.name}`,
    '',
    `${stage.title}. ${stage.about}`,
    '',
    ...(stage.needs ? [`Needs: ${stage.needs.join(', ')}.`, ''] : []),
    ...optionTable(stage.options),
    ...line('Packages', [...list((part) => part.packages)].sort()),
    ...line('Removed when a base brings them', [...list((part) => part.purge)].sort()),
    ...bullets('Files', files),
    ...line('Units', units.sort()),
    ...line('Ports', ports),
    ...line(
      'Kernel arguments',
      list((part) => part.cmdline).map((argument) => `\`${argument}\``),
    ),
    ...line(
      'Data partition',
      list((part) => part.dataBinds).map(({ path }) => `\`${path}\``),
    ),
    ...bullets(
      'Checks',
      checks.map(
        ([key, { kind, title, why }]) => `\`${stage.name}/${key}\` (${kind}): ${title}.${why ? ` ${why}` : ''}`,
      ),
    ),
  ];
}

function optionTable(schema: { readonly properties: Readonly<Record<string, TSchema>> }): string[] {
  const options = Object.entries(schema.properties);
  if (options.length === 0) return [];
  return [
    '| option | type | default | meaning |',
    '| --- | --- | --- | --- |',
    ...options.map(([name, option]) => {
      const { default: preset, description = '' } = option as { default?: unknown; description?: string };
      const cells = [
        `\`${name}\``,
        typeText(option),
        preset === undefined ? 'none' : `\`${JSON.stringify(preset)}\``,
        description,
      ];
      return `| ${cells.join(' | ').replaceAll('\n', ' ')} |`;
    }),
    '',
  ];
}

/** "integer, 1 to 65535", "text", "list of text", "one of `off`, `low`": no `|`, which ends a cell. */
function typeText(schema: unknown): string {
  const {
    type,
    anyOf,
    const: only,
    items,
    minimum,
    maximum,
  } = schema as {
    type?: string;
    anyOf?: readonly unknown[];
    const?: unknown;
    items?: unknown;
    minimum?: number;
    maximum?: number;
  };
  if (only !== undefined) return `\`${String(only)}\``;
  if (anyOf) return `one of ${anyOf.map(typeText).join(', ')}`;
  if (type === 'array') return `list of ${typeText(items)}`;
  const name = type === 'string' ? 'text' : (type ?? 'any');
  return minimum === undefined && maximum === undefined ? name : `${name}, ${minimum ?? ''} to ${maximum ?? ''}`;
}

const line = (title: string, entries: readonly string[]): string[] =>
  entries.length === 0 ? [] : [`${title}: ${entries.join(', ')}.`, ''];
const bullets = (title: string, entries: readonly string[]): string[] =>
  entries.length === 0 ? [] : [`${title}:`, '', ...entries.map((entry) => `- ${entry}`), ''];
