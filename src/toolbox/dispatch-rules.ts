import { type Problem, UserError } from '../core/errors.ts';

/** How a program of the target may run; see native/dispatch.rules. */
export type DispatchRule = 'never' | 'native' | 'perl' | 'arguments';

export interface RuleLine {
  readonly rule: DispatchRule;
  readonly path: RegExp;
}

/** Arguments for which a program with the rule `arguments` is native: a pattern of fnmatch(3). */
export interface ArgumentsLine {
  readonly path: string;
  readonly pattern: string;
}

export interface Rules {
  readonly programs: readonly RuleLine[];
  readonly arguments: readonly ArgumentsLine[];
}

const RULES: readonly string[] = ['never', 'native', 'perl', 'arguments'];
const WITH = /^with\s+(\/\S+)\s+"([^"\t]+)"\s+\S/;
const RULE = /^(\S+)\s+(\/\S+)\s+\S/;

/**
 * Reads native/dispatch.rules: `RULE PATH REASON` or `with PATH "PATTERN" REASON` on each line.
 * @throws UserError naming every line without a known rule, an absolute path or a reason.
 */
export function parseRules(text: string, file: string): Rules {
  const programs: RuleLine[] = [];
  const listed: ArgumentsLine[] = [];
  const problems: Problem[] = [];
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    const [, path, pattern] = WITH.exec(line) ?? [];
    const [, rule = '', place = ''] = RULE.exec(line) ?? [];
    if (path !== undefined && pattern !== undefined) listed.push({ path, pattern });
    else if (RULES.includes(rule)) programs.push({ rule: rule as DispatchRule, path: pathPattern(place) });
    else {
      problems.push({
        message: `a rule is "RULE PATH REASON" or "with PATH "PATTERN" REASON", found "${line}"`,
        where: { file, line: index + 1 },
        hint: `RULE is one of ${RULES.join(', ')}; PATH is absolute; REASON says why`,
      });
    }
  }
  if (problems.length > 0) throw new UserError(problems);
  return { programs, arguments: listed };
}

/** The last line that matches decides; what none allows is never native. */
export function ruleFor(path: string, rules: Rules): DispatchRule {
  return rules.programs.findLast((line) => line.path.test(path))?.rule ?? 'never';
}

function pathPattern(path: string): RegExp {
  return new RegExp(`^${path.replaceAll(/[.[\]+?^${}()|\\]/g, '\\$&').replaceAll('*', '[^/]*')}$`);
}
