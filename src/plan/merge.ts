import type { PlannedCheck } from '../core/check.ts';
import type { AbsPath, Contribution, UnitState } from '../core/contribution.ts';
import { type Problem, UserError } from '../core/errors.ts';
import type { Plan, PlannedFile } from '../core/plan.ts';

/** One stage's contribution with the bytes of its files settled. */
export interface Contributed {
  readonly stage: string;
  readonly contribution: Contribution;
  readonly files: readonly PlannedFile[];
}

export type Merged = Omit<Plan, 'name' | 'target' | 'base' | 'stages' | 'digest'>;

const byPath = (a: { path: string }, b: { path: string }): number => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0);
const sorted = (list: readonly string[]): string[] => [...new Set(list)].sort();

/** Puts all contributions together. @throws UserError naming every conflict and the stages that have it. */
export function merge(all: readonly Contributed[]): Merged {
  const problems: Problem[] = [];
  const gather = <T>(list: (contribution: Contribution) => readonly T[] | undefined): T[] =>
    all.flatMap(({ contribution }) => list(contribution) ?? []);
  const files = mergeFiles(all, problems);
  const units = mergeUnits(all, problems);
  const packages = sorted(gather((one) => one.packages));
  const purge = sorted(gather((one) => one.purge));
  for (const name of packages.filter((name) => purge.includes(name))) {
    const wants = all.filter(({ contribution }) => contribution.packages?.includes(name)).map(({ stage }) => stage);
    const rids = all.filter(({ contribution }) => contribution.purge?.includes(name)).map(({ stage }) => stage);
    problems.push({ message: `${wants.join(', ')} installs package ${name}, which ${rids.join(', ')} removes` });
  }
  const accounts = once(all, 'accounts', 'uid', problems);
  once(all, 'accounts', 'name', problems);
  const groups = once(all, 'groups', 'gid', problems);
  const dataBinds = once(all, 'dataBinds', 'path', problems);
  for (const { stage, contribution } of all) {
    for (const argument of contribution.cmdline ?? []) {
      if (/^[^\s"]+$/.test(argument)) continue;
      problems.push({ message: `${stage}: kernel argument ${JSON.stringify(argument)} holds a space or a quote` });
    }
    for (const path of contribution.diversions ?? []) {
      if (files.some((file) => file.path === path)) continue;
      problems.push({ message: `${stage} diverts ${path}, but no stage writes it` });
    }
  }
  samePorts(all, problems);
  if (problems.length > 0) throw new UserError(problems);
  const allowed = gather((one) => (one.allowed === undefined ? [] : [one.allowed]));

  return {
    packages,
    purge,
    files,
    accounts,
    groups,
    units,
    cmdline: [...new Set(gather((one) => one.cmdline))],
    configTxt: [...new Set(gather((one) => one.configTxt))],
    statOverrides: Object.assign({}, ...all.map(({ contribution }) => contribution.statOverrides ?? {})),
    diversions: sorted(gather((one) => one.diversions)) as AbsPath[],
    openPorts: gather((one) => one.openPorts),
    dataBinds,
    plainSecrets: gather((one) => one.plainSecrets),
    firstBoot: gather((one) => one.firstBoot),
    sources: gather((one) => one.sources),
    ...(allowed.length === 0
      ? {}
      : {
          allowed: {
            setuid: sorted(allowed.flatMap(({ setuid = [] }) => setuid)) as AbsPath[],
            units: sorted(allowed.flatMap(({ units: names = [] }) => names)),
          },
        }),
    checks: mergeChecks(all),
  };
}

function mergeFiles(all: readonly Contributed[], problems: Problem[]): PlannedFile[] {
  const seen = new Map<string, PlannedFile>();
  for (const file of all.flatMap(({ files }) => files)) {
    const bad = !file.path.startsWith('/') || /\/\/|\/\.\.?(\/|$)|[\0\n]|.\/$/.test(file.path);
    if (bad) problems.push({ message: `${file.stage}: ${JSON.stringify(file.path)} is not a plain absolute path` });
    const other = seen.get(file.path);
    const same = other?.type === 'directory' && file.type === 'directory';
    if (other !== undefined && !(same && other.mode === file.mode && other.owner === file.owner)) {
      const stages = [...new Set([other.stage, file.stage])].join(' and ');
      problems.push({ message: `${file.path} is written twice, by ${stages}` });
    }
    if (other === undefined) seen.set(file.path, file);
  }
  return [...seen.values()].sort(byPath);
}

function mergeUnits(all: readonly Contributed[], problems: Problem[]): Record<string, UnitState> {
  const units = new Map<string, { state: UnitState; stage: string }>();
  for (const { stage, contribution } of all) {
    for (const [unit, state] of Object.entries(contribution.units ?? {})) {
      const other = units.get(unit);
      if (other !== undefined && other.state !== state) {
        problems.push({ message: `unit ${unit} is ${other.state} by ${other.stage} and ${state} by ${stage}` });
      }
      units.set(unit, { state, stage });
    }
  }
  const pairs = [...units].map(([unit, { state }]) => [unit, state] as const);
  return Object.fromEntries(pairs.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Two programs cannot listen at one port: the later one would not start, and it may be sshd. */
function samePorts(all: readonly Contributed[], problems: Problem[]): void {
  const seen = new Map<string, string>();
  for (const { stage, contribution } of all) {
    for (const { port, protocol } of contribution.openPorts ?? []) {
      const name = `${port}/${protocol}`;
      const other = seen.get(name);
      if (other !== undefined) problems.push({ message: `port ${name} is taken twice, by ${other} and ${stage}` });
      seen.set(name, stage);
    }
  }
}

type Listed = 'accounts' | 'groups' | 'dataBinds';

/** A list in which `key` must be different everywhere. */
function once<K extends Listed>(
  all: readonly Contributed[],
  list: K,
  key: keyof NonNullable<Contribution[K]>[number],
  problems: Problem[],
): NonNullable<Contribution[K]>[number][] {
  const seen = new Map<unknown, string>();
  return all.flatMap(({ stage, contribution }) => {
    const items = (contribution[list] ?? []) as readonly NonNullable<Contribution[K]>[number][];
    for (const item of items) {
      const other = seen.get(item[key]);
      if (other !== undefined) {
        problems.push({
          message: `${list}: ${String(key)} ${String(item[key])} is taken twice, by ${other} and ${stage}`,
        });
      }
      seen.set(item[key], stage);
    }
    return [...items];
  });
}

function mergeChecks(all: readonly Contributed[]): PlannedCheck[] {
  return all.flatMap(({ stage, contribution }) =>
    Object.entries(contribution.checks ?? {}).map(([key, check]) => ({ ...check, id: `${stage}/${key}`, stage })),
  );
}
