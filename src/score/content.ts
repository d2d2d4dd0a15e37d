import { hostRunner } from '../host/runner.ts';

// What the data stream of OpenSCAP says of profiles: enough to tell whether one run answers for two of them.

const PREFIX = 'xccdf_org.ssgproject.content';

/** The data stream on the scanners' disk, as text of about 14 MB. */
export async function readContent(disk: string, path: string): Promise<string> {
  const { stdout } = await hostRunner.run(['debugfs', '-R', `cat ${path}`, disk]);
  return stdout;
}

interface Profile {
  readonly rules: readonly string[];
  /** Value to what is chosen for it. */
  readonly values: ReadonlyMap<string, string>;
}

/** @throws Error when there is no such profile */
function textOf(content: string, name: string): string {
  const text = new RegExp(`<[\\w.-]*:?Profile id="${PREFIX}_profile_${name}">([\\s\\S]*?)</[\\w.-]*:?Profile>`).exec(
    content,
  )?.[1];
  if (text === undefined) throw new Error(`the content has no profile ${name}`);
  return text;
}

/**
 * Of which day the rules of a profile are, as the content tells it: version and date of what they are made from (ANSSI's
 * has no date there), and the date of the content itself.
 */
export function dataOf(content: string, name: string, benchmark: string): string {
  const [, version, released] = /\bv(\d[\d.]*\d)(?:, released (\d{4}-\d\d-\d\d))?/.exec(textOf(content, name)) ?? [];
  const day = /<[\w.-]*:?data-stream\b[^>]*\btimestamp="([\d-]{10})/.exec(content)?.[1];
  if (version === undefined || day === undefined) throw new Error(`the content does not date the profile ${name}`);
  return `${benchmark} ${version}${released === undefined ? '' : ` of ${released}`}, content of ${day}`;
}

function profileOf(content: string, name: string): Profile {
  const text = textOf(content, name);
  const select = new RegExp(`:?select idref="${PREFIX}_rule_([^"]+)" selected="true"`, 'g');
  const value = new RegExp(`:?(?:refine|set)-value idref="${PREFIX}_value_([^"]+)"([^>]*>[^<]*)`, 'g');
  return {
    rules: [...text.matchAll(select)].map(([, rule = '']) => rule),
    values: new Map([...text.matchAll(value)].map(([, id = '', chosen = '']) => [id, chosen])),
  };
}

/**
 * The rules of profile `part` that a run of profile `whole` judges just so: it has them, and every value that they are
 * judged by is the same in both. And the other rules of `part`.
 */
export function answeredBy(content: string, part: string, whole: string): { same: Set<string>; others: string[] } {
  const [small, large] = [profileOf(content, part), profileOf(content, whole)];
  const known = new Set(large.rules);
  const differs = (value: string): boolean => small.values.get(value) !== large.values.get(value);
  const usesOther = (rule: string): boolean => {
    const text = new RegExp(`<[\\w.-]*:?Rule [^>]*id="${PREFIX}_rule_${rule}"[\\s\\S]*?</[\\w.-]*:?Rule>`).exec(
      content,
    )?.[0];
    const used = [...(text ?? '').matchAll(new RegExp(`check-export [^>]*value-id="${PREFIX}_value_([^"]+)"`, 'g'))];
    return text === undefined || used.some(([, value = '']) => differs(value));
  };
  const same = new Set(small.rules.filter((rule) => known.has(rule) && !usesOther(rule)));
  return { same, others: small.rules.filter((rule) => !same.has(rule)) };
}
