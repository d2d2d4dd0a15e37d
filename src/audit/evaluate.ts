import type {
  AbsentCheck,
  CheckResult,
  DirectoryCheck,
  FileCheck,
  LinkCheck,
  OfflineCheck,
  PackageCheck,
  PlannedCheck,
  ScanCheck,
  UnitCheck,
} from '../core/check.ts';
import { accountNames, modeAndOwner, type Names } from './accounts.ts';
import { type Package, packages } from './dpkg.ts';
import { find, follow, isPattern } from './paths.ts';
import { scans } from './scans/index.ts';
import { ParameterError } from './scans/scan.ts';
import type { Tree, TreeEntry } from './tree.ts';
import { readUnits, type Units } from './units.ts';

/** What checks of one tree share, read once. */
interface Facts {
  readonly tree: Tree;
  readonly names: Names;
  readonly units: Units;
  readonly packages: ReadonlyMap<string, Package> | undefined;
}

interface Answer {
  readonly evidence: string;
  /** Present: the check failed; what should have been seen. */
  readonly expected?: string;
}

const MAX_SHOWN = 5;

export type PlannedOfflineCheck = PlannedCheck & OfflineCheck;
export const isOffline = (check: PlannedCheck): check is PlannedOfflineCheck => check.kind !== 'run';

/** Answers the offline checks of a plan from a tree, in their order. Checks of kind `run` are left to the guest. */
export function evaluate(tree: Tree, checks: readonly PlannedCheck[]): CheckResult[] {
  const list = packages(tree);
  const facts: Facts = {
    tree,
    names: accountNames(tree),
    units: readUnits(tree),
    packages: list && new Map(list.filter((one) => one.installed).map((one) => [one.name, one])),
  };
  return checks.filter(isOffline).map((check) => {
    const answer = evaluateOne(check, facts);
    return {
      id: check.id,
      title: check.title,
      guide: check.guide ?? [],
      outcome: answer.expected === undefined ? 'pass' : 'fail',
      evidence: answer.evidence,
      ...(answer.expected === undefined ? {} : { expected: answer.expected }),
    };
  });
}

function evaluateOne(check: OfflineCheck, facts: Facts): Answer {
  switch (check.kind) {
    case 'file':
      return fileAnswer(check, facts);
    case 'link':
      return linkAnswer(check, facts);
    case 'directory':
      return directoryAnswer(check, facts);
    case 'absent':
      return absentAnswer(check, facts);
    case 'unit':
      return unitAnswer(check, facts);
    case 'package':
      return packageAnswer(check, facts);
    case 'scan':
      return scanAnswer(check, facts);
  }
}

const some = (list: readonly string[]): string =>
  list.length <= MAX_SHOWN
    ? list.join(', ')
    : `${list.slice(0, MAX_SHOWN).join(', ')} and ${list.length - MAX_SHOWN} more`;

/**
 * What a file check looks at. A plain path follows links, as whoever reads the file does. A pattern takes the regular
 * files, and when content is asked for, also what links lead to.
 */
function targets(tree: Tree, path: string, withContent: boolean): TreeEntry[] {
  if (!isPattern(path)) {
    const entry = follow(tree, path) ?? tree.get(path);
    return entry === undefined ? [] : [entry];
  }
  return find(tree, path).flatMap((entry) => {
    const real = entry.type === 'symlink' && withContent ? follow(tree, entry.path) : entry;
    return real?.type === 'file' ? [real] : [];
  });
}

function permissionProblems(entry: TreeEntry, want: { mode?: string; owner?: string }, names: Names): string[] {
  // FAT has no modes and owners: all its files get those of the mount.
  if (entry.path.startsWith('/boot/firmware/')) return [];
  const owner = `${names.user(entry.uid)}:${names.group(entry.gid)}`;
  return [
    ...(want.mode !== undefined && entry.mode !== Number.parseInt(want.mode, 8) ? [`mode ${want.mode}`] : []),
    ...(want.owner !== undefined && owner !== want.owner ? [`owner ${want.owner}`] : []),
  ];
}

const several = (value: RegExp | readonly RegExp[] | undefined): readonly RegExp[] =>
  value === undefined ? [] : value instanceof RegExp ? [value] : value;

/** `test` of an expression with the flags g or y depends on what was asked before. */
const fits = (expression: RegExp, text: string): boolean =>
  new RegExp(expression.source, expression.flags.replace(/[gy]/g, '')).test(text);

function fileAnswer(check: FileCheck, { tree, names }: Facts): Answer {
  const [matches, lacks] = [several(check.matches), several(check.lacks)];
  const withContent = matches.length + lacks.length > 0;
  const entries = targets(tree, check.path, withContent);
  if (entries.length === 0) return { evidence: `${check.path} is not there`, expected: `a file ${check.path}` };
  const seen: string[] = [];
  const wrong: string[] = [];
  for (const entry of entries) {
    if (entry.type !== 'file') {
      seen.push(`${entry.path}: a ${entry.type}`);
      wrong.push(`${entry.path}: a regular file`);
      continue;
    }
    const problems = permissionProblems(entry, check, names);
    const text = withContent ? tree.text(entry.path) : undefined;
    if (withContent && text === undefined) problems.push('content that can be read');
    if (text !== undefined) {
      problems.push(...matches.filter((one) => !fits(one, text)).map((one) => `a match for ${one}`));
      for (const one of lacks.filter((expression) => fits(expression, text))) {
        const line = text.slice(0, one.exec(text)?.index ?? 0).split('\n').length;
        problems.push(`nothing that matches ${one} (line ${line} does)`);
      }
    }
    const size =
      text === undefined ? `${entry.size} bytes` : `${text.split('\n').length - (text.endsWith('\n') ? 1 : 0)} lines`;
    seen.push(`${entry.path}: ${modeAndOwner(entry, names)}, ${size}`);
    if (problems.length > 0) wrong.push(`${entry.path}: ${problems.join('; ')}`);
  }
  return { evidence: some(seen), ...(wrong.length > 0 ? { expected: some(wrong) } : {}) };
}

function linkAnswer(check: LinkCheck, { tree }: Facts): Answer {
  const entry = tree.get(check.path);
  const expected = `a link ${check.path} to ${check.target}`;
  if (entry === undefined) return { evidence: `${check.path} is not there`, expected };
  if (entry.type !== 'symlink') return { evidence: `${check.path} is a ${entry.type}`, expected };
  return {
    evidence: `${check.path} -> ${entry.target}`,
    ...(entry.target === check.target ? {} : { expected }),
  };
}

function directoryAnswer(check: DirectoryCheck, { tree, names }: Facts): Answer {
  const entry = follow(tree, check.path);
  if (entry === undefined) return { evidence: `${check.path} is not there`, expected: `a folder ${check.path}` };
  if (entry.type !== 'directory') {
    return { evidence: `${check.path} is a ${entry.type}`, expected: `a folder ${check.path}` };
  }
  const held = [...tree.entries()].flatMap(({ path }) =>
    path.startsWith(`${entry.path}/`) && !path.slice(entry.path.length + 1).includes('/') ? [path] : [],
  );
  const wrong = [
    ...permissionProblems(entry, check, names),
    ...(check.empty === true && held.length > 0 ? ['nothing in it'] : []),
  ];
  const content = held.length === 0 ? 'empty' : check.empty === true ? `holds ${some(held)}` : `${held.length} entries`;
  return {
    evidence: `${entry.path}: ${modeAndOwner(entry, names)}, ${content}`,
    ...(wrong.length > 0 ? { expected: `${check.path}: ${wrong.join('; ')}` } : {}),
  };
}

function absentAnswer(check: AbsentCheck, { tree }: Facts): Answer {
  const paths = [check.path].flat();
  const found = paths.flatMap((path) => find(tree, path).map((entry) => `${entry.path} (${entry.type})`));
  if (found.length > 0) return { evidence: `there is ${some(found)}`, expected: `nothing at ${some(paths)}` };
  return { evidence: `nothing at ${some(paths)}` };
}

function unitAnswer(check: UnitCheck, { units }: Facts): Answer {
  const { state, evidence } = units.facts(check.unit);
  // A unit that can't start, because it is masked or not there, is also disabled.
  const good = check.is === 'disabled' ? state !== 'enabled' : state === check.is;
  return { evidence: `${state}: ${evidence}`, ...(good ? {} : { expected: `${check.unit} ${check.is}` }) };
}

function packageAnswer(check: PackageCheck, facts: Facts): Answer {
  const expected = `package ${check.package} ${check.is}`;
  if (facts.packages === undefined) return { evidence: '/var/lib/dpkg/status is not there', expected };
  const found = facts.packages.get(check.package);
  const evidence =
    found === undefined
      ? `not among the ${facts.packages.size} installed packages`
      : `${found.name} ${found.version} (${found.architecture})`;
  return { evidence, ...((found !== undefined) === (check.is === 'installed') ? {} : { expected }) };
}

function scanAnswer(check: ScanCheck, { tree }: Facts): Answer {
  const scan = scans[check.scan];
  if (scan === undefined) {
    return { evidence: `there is no scan "${check.scan}"`, expected: `one of ${Object.keys(scans).join(', ')}` };
  }
  try {
    const { looked, problems } = scan(tree, check.with ?? {});
    if (problems.length === 0) return { evidence: looked };
    return {
      evidence: `${looked}; ${some(problems)}`,
      expected: `no finding of scan ${check.scan}, not ${problems.length}`,
    };
  } catch (error) {
    if (!(error instanceof ParameterError)) throw error;
    return { evidence: `the scan was not run: ${error.message}`, expected: 'parameters that the scan knows' };
  }
}
