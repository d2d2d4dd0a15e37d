import fc from 'fast-check';
import { find, follow, isPattern } from '../../../src/audit/paths.ts';
import type {
  AbsentCheck,
  DirectoryCheck,
  FileCheck,
  LinkCheck,
  OfflineCheck,
  PackageCheck,
  UnitCheck,
} from '../../../src/core/check.ts';
import { file, link } from './helpers.ts';
import { alter, edit, type Model, put, treeOfModel } from './model.ts';
import { setPackage } from './planned-image.ts';
import { breaks as scanBreaks } from './scan-breaks.ts';

/** One change of a good image after which the check has to fail. */
export interface CheckBreak {
  readonly what: string;
  readonly apply: (model: Model) => void;
  /** What evidence or expectation has to name. */
  readonly names: RegExp;
}

const quote = (text: string): RegExp => new RegExp(text.replace(/[\\^$.|?+*()[\]{}]/g, '\\$&'));

/** Everything that has to make a check fail: each single fact that it states, undone. */
export function breaksOf(check: OfflineCheck, model: Model): CheckBreak[] {
  switch (check.kind) {
    case 'file':
      return fileBreaks(check, model);
    case 'link':
      return linkBreaks(check);
    case 'directory':
      return directoryBreaks(check, model);
    case 'absent':
      return absentBreaks(check);
    case 'unit':
      return unitBreaks(check);
    case 'package':
      return packageBreaks(check);
    case 'scan':
      return (scanBreaks[check.scan] ?? []).map(({ what, apply, names }) => ({
        what,
        names,
        apply: (broken) => apply(broken, check.with ?? {}),
      }));
  }
}

const list = <T>(value: T | readonly T[] | undefined): readonly T[] =>
  value === undefined ? [] : Array.isArray(value) ? value : [value as T];

/** Real paths that a file or folder check looks at. */
function pathsOf(path: string, model: Model): string[] {
  const tree = treeOfModel(model);
  if (isPattern(path)) return find(tree, path).flatMap((entry) => (entry.type === 'file' ? [entry.path] : []));
  const real = follow(tree, path)?.path;
  if (real === undefined) throw new Error(`the good image has no ${path}: add it to PACKAGED in planned-image.ts`);
  return [real];
}

function permissionBreaks(check: FileCheck | DirectoryCheck, path: string): CheckBreak[] {
  const breaks: CheckBreak[] = [];
  if (check.mode !== undefined) {
    const mode = Number.parseInt(check.mode, 8) ^ 0o004;
    breaks.push({ what: 'another mode', apply: (model) => alter(model, path, { mode }), names: /mode 0/ });
  }
  if (check.owner !== undefined) {
    breaks.push(
      { what: 'another user', apply: (model) => alter(model, path, { uid: 65534 }), names: /owner / },
      { what: 'another group', apply: (model) => alter(model, path, { gid: 65534 }), names: /owner / },
    );
  }
  return breaks;
}

function fileBreaks(check: FileCheck, good: Model): CheckBreak[] {
  const paths = pathsOf(check.path, good);
  const [path] = paths;
  if (path === undefined) throw new Error(`nothing fits ${check.path}: add it to PACKAGED in planned-image.ts`);
  return [
    {
      what: 'no such file',
      apply: (model) => {
        for (const one of paths) model.nodes.delete(one);
      },
      names: /is not there/,
    },
    ...permissionBreaks(check, path),
    ...list(check.matches).map((expression) => ({
      what: `nothing that fits ${expression}`,
      apply: (model: Model) => edit(model, path, (text) => without(text, expression)),
      names: quote(`a match for ${expression}`),
    })),
    ...list(check.lacks).map((expression) => ({
      what: `something that fits ${expression}`,
      apply: (model: Model) => edit(model, path, (text) => withMatch(text, expression)),
      names: quote(`nothing that matches ${expression}`),
    })),
  ];
}

/** The text with all that an expression finds taken out; down to nothing when what is left fits again and again. */
function without(text: string, expression: RegExp): string {
  let left = text;
  for (let round = 0; round < 1000; round++) {
    const match = new RegExp(expression.source, expression.flags.replace(/[gy]/g, '')).exec(left);
    if (match === null) return left;
    if (match[0] === '') break;
    left = left.slice(0, match.index) + left.slice(match.index + match[0].length);
  }
  return '';
}

/** For expressions that fast-check can't turn into a text (look-around): a text that has to be found. */
const SAMPLES: readonly string[] = ['add_header X-Test "1";', '### tuple ### allow tcp 23 0.0.0.0/0 any 0.0.0.0/0 in'];

/** The text with a line that the expression finds. */
function withMatch(text: string, expression: RegExp): string {
  const fits = (candidate: string): boolean => new RegExp(expression.source, expression.flags).test(candidate);
  const candidates = (sample: string): string[] => [
    `${text}${sample}\n`,
    `${sample}\n${text}`,
    sample,
    `${text}\n${sample}`,
  ];
  for (const sample of [...samplesOf(expression), ...SAMPLES]) {
    const found = candidates(sample).find(fits);
    if (found !== undefined) return found;
  }
  throw new Error(`no text is known that ${expression} finds: add one to SAMPLES in check-breaks.ts`);
}

function samplesOf(expression: RegExp): string[] {
  try {
    return fc.sample(fc.stringMatching(expression), { numRuns: 20, seed: 1 });
  } catch {
    return [];
  }
}

const linkBreaks = (check: LinkCheck): CheckBreak[] => [
  { what: 'no link', apply: (model) => model.nodes.delete(check.path), names: /is not there/ },
  { what: 'another target', apply: (model) => put(model, link(check.path, '/elsewhere')), names: /-> \/elsewhere/ },
  { what: 'a file in its place', apply: (model) => put(model, file(check.path, 'x')), names: /is a file/ },
];

function directoryBreaks(check: DirectoryCheck, good: Model): CheckBreak[] {
  const path = pathsOf(check.path, good)[0] ?? check.path;
  const without: CheckBreak = {
    what: 'no such folder',
    apply: (model) => {
      for (const one of [...model.nodes.keys()])
        if (one === path || one.startsWith(`${path}/`)) model.nodes.delete(one);
    },
    names: /is not there/,
  };
  const filled: CheckBreak = {
    what: 'something in it',
    apply: (model) => put(model, file(`${path}/x`, 'x')),
    names: /nothing in it/,
  };
  return [without, ...permissionBreaks(check, path), ...(check.empty === true ? [filled] : [])];
}

const absentBreaks = (check: AbsentCheck): CheckBreak[] =>
  [check.path].flat().map((path) => {
    const example = path.replaceAll('**', 'x').replaceAll('*', 'x');
    return {
      what: `there is ${example}`,
      apply: (model: Model) => put(model, file(example, 'x')),
      names: quote(`there is ${example}`),
    };
  });

function unitBreaks({ unit, is }: UnitCheck): CheckBreak[] {
  const path = `/usr/lib/systemd/system/${unit}`;
  const started = (model: Model): void => {
    if (model.nodes.get(`/etc/systemd/system/${unit}`)?.target === '/dev/null') {
      model.nodes.delete(`/etc/systemd/system/${unit}`);
    }
    put(model, file(path, '[Unit]\n'), link(`/etc/systemd/system/x.target.wants/${unit}`, path));
  };
  const stopped = (model: Model): void => {
    for (const one of [...model.nodes.keys()]) {
      if (one.endsWith(`/${unit}`) && /\.(wants|requires|upholds)\//.test(one)) model.nodes.delete(one);
    }
  };
  const masked = (model: Model): void => put(model, link(`/etc/systemd/system/${unit}`, '/dev/null'));
  const unmasked = (model: Model): void => {
    model.nodes.delete(`/etc/systemd/system/${unit}`);
    put(model, file(path, '[Unit]\n'));
  };
  if (is === 'enabled') {
    return [
      { what: 'no link starts it', apply: stopped, names: /disabled: / },
      { what: 'masked', apply: masked, names: /masked: / },
    ];
  }
  if (is === 'disabled') return [{ what: 'a link starts it', apply: started, names: /enabled: .*x\.target\.wants/ }];
  return [
    { what: 'a link starts it', apply: started, names: /enabled: .*x\.target\.wants/ },
    { what: 'not masked', apply: unmasked, names: /disabled: / },
  ];
}

const packageBreaks = (check: PackageCheck): CheckBreak[] => [
  {
    what: check.is === 'installed' ? 'not installed' : 'installed',
    apply: (model) => setPackage(model, check.package, check.is === 'absent'),
    names: check.is === 'installed' ? /not among/ : quote(`${check.package} 1`),
  },
];
