import { anyPattern, find, follow } from '../paths.ts';
import { readUnits } from '../units.ts';
import { count, ParameterError, readParameters, type Scan } from './scan.ts';

/** What starts is what is expected: a package that brings a new service does not get it started unseen. */
export const enabledUnits: Scan = (tree, parameters) => {
  const given = readParameters(parameters, ['allow']);
  if (parameters['allow'] === undefined) throw new ParameterError('"allow" is missing');
  const allowed = anyPattern(given.strings('allow'));
  const units = readUnits(tree);
  const pulls = units.pulls.filter((pull) => pull.path.startsWith('/etc/'));
  const problems = pulls.length === 0 ? ['/etc/systemd/system starts nothing at all'] : [];
  for (const pull of pulls) {
    const { state, evidence } = units.facts(pull.unit);
    if (state === 'missing') problems.push(`${pull.path}: ${evidence}`);
    if (state !== 'masked' && !allowed(pull.unit)) problems.push(`${pull.path} starts ${pull.unit}`);
  }
  return {
    looked: `${count(pulls.length, 'link')}: ${[...new Set(pulls.map((one) => one.unit))].join(' ')}`,
    problems,
  };
};

const EXEC = /^Exec(?:Start|StartPre|StartPost|Stop|StopPost|Reload|Condition)=[@\-:+!|]*("?)(\/[^\s";]+)\1/gm;

/** Every program that our units name is in the image and can be executed. */
export const unitPrograms: Scan = (tree, parameters) => {
  const allowed = anyPattern(readParameters(parameters, ['allow']).strings('allow'));
  const problems: string[] = [];
  let [files, programs] = [0, 0];
  for (const pattern of ['/etc/systemd/system/*.service', '/etc/systemd/system/*/*.conf']) {
    for (const entry of find(tree, pattern)) {
      const text = entry.type === 'file' ? tree.text(entry.path) : undefined;
      if (text === undefined) continue;
      files++;
      if (allowed(entry.path.slice('/etc/systemd/system/'.length))) continue;
      for (const [, , program] of text.matchAll(EXEC)) {
        if (program === undefined || program.includes('%')) continue;
        programs++;
        const target = follow(tree, program);
        if (target?.type !== 'file') problems.push(`${entry.path}: ${program} is not there`);
        else if ((target.mode & 0o111) === 0) problems.push(`${entry.path}: ${program} is not executable`);
      }
    }
  }
  return { looked: `${count(programs, 'program')} in ${count(files, 'unit file')}`, problems };
};
