import { UserError } from '../core/errors.ts';

/** How a program of the target may run; see native/dispatch.rules. */
export type DispatchRule = 'never' | 'native' | 'perl' | 'python';

export interface RuleLine {
  readonly rule: DispatchRule;
  readonly path: RegExp;
}

const RULES: readonly string[] = ['never', 'native', 'perl', 'python'];

/**
 * Reads native/dispatch.rules: RULE PATH REASON on each line.
 * @throws UserError naming every line without a known rule, an absolute path or a reason.
 */
export function parseRules(text: string, file: string): RuleLine[] {
  const lines = text.split('\n').map((line, index) => ({ line: line.trim(), number: index + 1 }));
  const wanted = lines.filter(({ line }) => line !== '' && !line.startsWith('#'));
  const parsed = wanted.map(({ line, number }) => {
    const [rule = '', path = '', ...reason] = line.split(/\s+/);
    const good = RULES.includes(rule) && path.startsWith('/') && reason.length > 0;
    return { rule, path, number, line, good };
  });
  const bad = parsed.filter(({ good }) => !good);
  if (bad.length > 0) {
    throw new UserError(
      bad.map(({ line, number }) => ({
        message: `a rule is "RULE PATH REASON", found "${line}"`,
        where: { file, line: number },
        hint: `RULE is one of ${RULES.join(', ')}; PATH is absolute; REASON says why`,
      })),
    );
  }
  return parsed.map(({ rule, path }) => ({ rule: rule as DispatchRule, path: pathPattern(path) }));
}

/** The last line that matches decides; what none allows is never native. */
export function ruleFor(path: string, rules: readonly RuleLine[]): DispatchRule {
  return rules.findLast((line) => line.path.test(path))?.rule ?? 'never';
}

function pathPattern(path: string): RegExp {
  return new RegExp(`^${path.replaceAll(/[.[\]+?^${}()|\\]/g, '\\$&').replaceAll('*', '[^/]*')}$`);
}
