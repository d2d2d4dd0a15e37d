import type { PlanRecord } from './record.ts';

type Paint = (style: 'bold' | 'dim' | 'green' | 'red' | 'yellow', text: string) => string;

const WIDTH = 80;

/** The whole plan for people, 80 columns wide; only a path that is longer makes a line longer. */
export function planText(plan: PlanRecord, paint: Paint): string {
  const { target, stages } = plan;
  const lines: string[] = [
    `${paint('bold', plan.name)}: ${target.base} ${target.suite} for ${target.architecture}, plan ${plan.digest.slice(0, 12)}`,
    ...(plan.base.kind === 'raspios' ? baseLines(plan.base) : []),
    ...list(stages, 'Stages', paint),
    ...section(
      'Code of others',
      plan.sources.flatMap(({ name, origin, version, sha256, files }) => [
        `${name} ${version} (${origin}, ${files} files)`,
        `  SHA-256 ${sha256}`,
      ]),
      paint,
    ),
    ...list(plan.packages, 'Packages', paint),
    ...list(plan.purge, 'Packages that are removed', paint),
    ...section(`Files (${plan.files.length})`, filesByStage(plan, paint), paint),
    ...section(
      'Modes of packaged files',
      Object.entries(plan.statOverrides).map(
        ([path, { mode, owner }]) => `${mode.padEnd(5)} ${owner.padEnd(18)} ${path}`,
      ),
      paint,
    ),
    ...list(plan.diversions, 'Packaged files that one of these takes the place of', paint),
    ...section(
      'Accounts and groups',
      [
        ...plan.accounts.map(
          ({ name, uid, description }) => `${String(uid).padStart(5)} ${name.padEnd(16)} ${description}`,
        ),
        ...plan.groups.map(({ name, gid }) => `${String(gid).padStart(5)} ${name.padEnd(16)} (group)`),
      ],
      paint,
    ),
    ...section(
      `Units (${Object.keys(plan.units).length})`,
      (['enabled', 'disabled', 'masked'] as const).flatMap((state) => {
        const names = Object.keys(plan.units).filter((unit) => plan.units[unit] === state);
        return names.length === 0 ? [] : flow(names, `${state}: `.padEnd(10), ' '.repeat(10));
      }),
      paint,
    ),
    ...list(plan.cmdline, 'Kernel arguments', paint),
    ...list(plan.configTxt, 'config.txt', paint),
    ...section(
      'Open ports',
      plan.openPorts.map(
        ({ port, protocol, action, comment }) => `${`${port}/${protocol}`.padEnd(10)} ${action.padEnd(6)} ${comment}`,
      ),
      paint,
    ),
    ...section(
      'On the encrypted data partition',
      plan.dataBinds.map(({ path, mode, owner }) => `${mode.padEnd(5)} ${owner.padEnd(18)} ${path}`),
      paint,
    ),
    ...section(
      'First boot',
      plan.firstBoot.map(({ title }, index) => `${String(index + 1).padStart(2)}. ${title}`),
      paint,
    ),
    ...section(
      'Secrets outside the encrypted partition',
      plan.plainSecrets.flatMap(({ path, what, until }) => [
        path,
        ...wrapWords(`${what}. Until: ${until}`, '  ', '  '),
      ]),
      paint,
    ),
    ...section(`Checks (${plan.checks.length})`, checksByStage(plan, paint), paint),
  ];
  return `${lines.join('\n')}\n`;
}

const baseLines = ({ image, sha256 }: Extract<PlanRecord['base'], { kind: 'raspios' }>): string[] => [
  `on ${image}`,
  ...(sha256 === undefined ? [] : [`   SHA-256 ${sha256}`]),
];

function section(title: string, lines: readonly string[], paint: Paint): string[] {
  if (lines.length === 0) return [];
  return ['', paint('bold', title), ...lines.map((line) => `  ${line}`)];
}

const list = (items: readonly string[], title: string, paint: Paint): string[] =>
  section(`${title} (${items.length})`, items.length === 0 ? [] : flow(items), paint);

/** Items in a row, as many to a line as fit beside the indentation of a section. */
function flow(items: readonly string[], first = '', rest = ''): string[] {
  const lines: string[] = [];
  let line = first;
  let empty = true;
  items.forEach((item, index) => {
    const word = index === items.length - 1 ? item : `${item},`;
    if (!empty && line.length + 1 + word.length > WIDTH - 2) {
      lines.push(line);
      line = rest;
      empty = true;
    }
    line += empty ? word : ` ${word}`;
    empty = false;
  });
  return [...lines, line];
}

function filesByStage({ files, stages }: PlanRecord, paint: Paint): string[] {
  const width = Math.max(...files.map(({ owner }) => owner.length), 0);
  return grouped(files, stages).flatMap(([stage, own]) => [
    paint('dim', stage),
    ...own.flatMap((file) => {
      const mode = (file.type === 'symlink' ? 'link' : file.mode).padEnd(5);
      const path = file.type === 'directory' ? `${file.path}/` : file.path;
      const more = file.type === 'symlink' ? `-> ${file.target ?? ''}` : (file.capabilities ?? '');
      const line = `  ${mode} ${file.owner.padEnd(width)} ${path}`;
      if (more === '') return [line];
      // On a line of its own where it does not fit.
      return line.length + more.length < WIDTH - 2 ? [`${line} ${more}`] : [line, `${' '.repeat(9 + width)}${more}`];
    }),
  ]);
}

function checksByStage(plan: PlanRecord, paint: Paint): string[] {
  return grouped(plan.checks, plan.stages).flatMap(([stage, own]) => [
    paint('dim', stage),
    ...own.flatMap(({ title, guide = [], kind }) => {
      const where = kind === 'run' ? 'booted' : 'image ';
      const items = guide.length === 0 ? '' : ` [${guide.join(', ')}]`;
      return wrapWords(`${title}${items}`, `  ${where} `, ' '.repeat(9));
    }),
  ]);
}

function wrapWords(text: string, first: string, rest: string): string[] {
  const lines: string[] = [];
  let line = first;
  for (const word of text.split(' ')) {
    if (line.trim() !== '' && line.length + 1 + word.length > WIDTH - 2) {
      lines.push(line.trimEnd());
      line = rest;
    }
    line += line.endsWith(' ') ? word : ` ${word}`;
  }
  return [...lines, line];
}

/** By stage, in the stages' order; what belongs to none of them goes last. */
function grouped<T extends { readonly stage: string }>(
  items: readonly T[],
  stages: readonly string[],
): [string, T[]][] {
  const groups = new Map<string, T[]>(stages.map((stage) => [stage, []]));
  for (const item of items) groups.set(item.stage, [...(groups.get(item.stage) ?? []), item]);
  return [...groups].filter(([, own]) => own.length > 0);
}
