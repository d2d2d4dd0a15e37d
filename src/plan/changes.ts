import { canonicalJson } from './digest.ts';
import type { PlanRecord } from './record.ts';

type Paint = (style: 'bold' | 'dim' | 'green' | 'red' | 'yellow', text: string) => string;

/** What is different from the plan of the last build, a line each: `+` new, `-` gone, `~` changed. */
export function planChanges(last: PlanRecord, plan: PlanRecord, paint: Paint): string {
  const lines = [
    ...differences('package', named(last.packages), named(plan.packages), paint),
    ...differences('removed package', named(last.purge ?? []), named(plan.purge), paint),
    ...differences('source', byKey(last.sources ?? [], 'name'), byKey(plan.sources, 'name'), paint),
    ...differences('file', byKey(last.files, 'path'), byKey(plan.files, 'path'), paint),
    ...differences('account', byKey(last.accounts ?? [], 'name'), byKey(plan.accounts, 'name'), paint),
    ...differences('group', byKey(last.groups ?? [], 'name'), byKey(plan.groups, 'name'), paint),
    ...differences('unit', new Map(Object.entries(last.units)), new Map(Object.entries(plan.units)), paint),
    ...differences('kernel argument', named(last.cmdline ?? []), named(plan.cmdline), paint),
    ...differences('config.txt', named(last.configTxt ?? []), named(plan.configTxt), paint),
    ...differences(
      'mode of',
      new Map(Object.entries(last.statOverrides ?? {})),
      new Map(Object.entries(plan.statOverrides)),
      paint,
    ),
    ...differences('data folder', byKey(last.dataBinds ?? [], 'path'), byKey(plan.dataBinds, 'path'), paint),
    ...differences('check', byKey(last.checks, 'id'), byKey(plan.checks, 'id'), paint),
  ];
  const head = `\n${paint('bold', `Changes since the last build (plan ${last.digest.slice(0, 12)})`)}\n`;
  return `${head}${lines.length === 0 ? '  none\n' : lines.map((line) => `  ${line}\n`).join('')}`;
}

const named = (names: readonly string[]): Map<string, unknown> => new Map(names.map((name) => [name, true]));

const byKey = <K extends string>(items: readonly { readonly [key in K]: string }[], key: K): Map<string, unknown> =>
  new Map(items.map((item) => [item[key], item]));

function differences(
  what: string,
  before: ReadonlyMap<string, unknown>,
  after: ReadonlyMap<string, unknown>,
  paint: Paint,
): string[] {
  const names = [...new Set([...before.keys(), ...after.keys()])].sort();
  return names.flatMap((name) => {
    if (!before.has(name)) return [paint('green', `+ ${what} ${name}`)];
    if (!after.has(name)) return [paint('red', `- ${what} ${name}`)];
    const [old, now] = [before.get(name), after.get(name)];
    if (canonicalJson(old) === canonicalJson(now)) return [];
    return [paint('yellow', `~ ${what} ${name}${detail(old, now)}`)];
  });
}

/** Which properties changed; short values with both. */
function detail(before: unknown, after: unknown): string {
  if (typeof before !== 'object' || typeof after !== 'object') return `: ${String(before)} -> ${String(after)}`;
  const [old, now] = [(before ?? {}) as Record<string, unknown>, (after ?? {}) as Record<string, unknown>];
  const changed = [...new Set([...Object.keys(old), ...Object.keys(now)])].filter(
    (key) => canonicalJson(old[key] ?? null) !== canonicalJson(now[key] ?? null),
  );
  const words = changed
    .filter((key) => key !== 'size')
    .map((key) =>
      ['mode', 'owner', 'version'].includes(key)
        ? `${key} ${old[key]} -> ${now[key]}`
        : key === 'sha256'
          ? 'content'
          : key,
    );
  return `: ${words.join(', ')}`;
}
