import { readFile } from 'node:fs/promises';
import { load } from 'js-yaml';
import { UserError } from '../core/errors.ts';

/** A finding that is not held against the image, and why. */
export interface Exception {
  /** The scanner's own name for it: a rule of OpenSCAP, a test of lynis, an id of testssl.sh. */
  readonly rule: string;
  /** Profiles of OpenSCAP that it is for, without their long prefix; elsewhere empty. */
  readonly profiles: readonly string[];
  readonly reason: string;
}

/** Exceptions by scanner. */
export type Exceptions = Readonly<Record<string, readonly Exception[]>>;

/** The scanners that are asked for exceptions; another's would be kept and never looked at. */
const SCANNERS = ['openscap', 'lynis', 'testssl'];

/** Exceptions whose finding is not there: what they excuse is gone, and they have to go as well. */
export const notNeeded = (exceptions: readonly Exception[], isFound: (rule: string) => boolean): string[] =>
  exceptions.filter(({ rule }) => !isFound(rule)).map(({ rule }) => `${rule}: the exception is not needed`);

const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

/**
 * @throws UserError naming every scanner that knows no exceptions, and every entry that lacks its rule or a reason, that
 * is there twice, or that has profiles where there are none
 */
export async function readExceptions(file: string): Promise<Exceptions> {
  const top: unknown = load(await readFile(file, 'utf8'));
  if (typeof top !== 'object' || top === null) throw new UserError(`${file} holds no exceptions`);
  const problems: string[] = [];
  const found = Object.entries(top).map(([scanner, entries]): [string, Exception[]] => {
    if (!SCANNERS.includes(scanner)) problems.push(`${scanner}: exceptions are for ${SCANNERS.join(', ')}`);
    const read = list(entries).map((entry, index): Exception => {
      const { rule, profiles, reason } = (entry ?? {}) as Record<string, unknown>;
      if (typeof rule !== 'string' || rule === '') problems.push(`${scanner}: entry ${index + 1} has no rule`);
      if (typeof reason !== 'string' || reason.trim().length < 20)
        problems.push(`${scanner}: ${rule} needs a reason in a sentence`);
      if (scanner === 'openscap' ? list(profiles).length === 0 : profiles !== undefined)
        problems.push(`${scanner}: ${rule} ${scanner === 'openscap' ? 'needs' : 'takes no'} profiles`);
      return { rule: String(rule), profiles: list(profiles).map(String), reason: String(reason).trim() };
    });
    const twice = read.filter(({ rule }, index) => read.findIndex((other) => other.rule === rule) !== index);
    problems.push(...twice.map(({ rule }) => `${scanner}: ${rule} is there twice`));
    return [scanner, read];
  });
  if (problems.length > 0) throw new UserError(problems.map((message) => ({ message, where: { file } })));
  return Object.fromEntries(found);
}

const PREFIX = 'xccdf_org.ssgproject.content';

/** The exceptions as an XCCDF tailoring file, for `oscap --tailoring-file`: one profile `PROFILE_amslpr` for each. */
export function tailoringFile(exceptions: readonly Exception[], profiles: readonly string[], made: string): string {
  const body = profiles.map((profile) => {
    const rules = exceptions.filter((one) => one.profiles.includes(profile));
    const lines = rules.map(
      ({ rule, reason }) =>
        `    <!-- ${reason.replaceAll('--', '- -')} -->\n    <xccdf:select idref="${PREFIX}_rule_${rule}" selected="false"/>`,
    );
    return [
      `  <xccdf:Profile id="${PREFIX}_profile_${profile}_amslpr" extends="${PREFIX}_profile_${profile}">`,
      `    <xccdf:title>${profile}, without what does not fit this device</xccdf:title>`,
      ...lines,
      '  </xccdf:Profile>',
    ].join('\n');
  });
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<xccdf:Tailoring xmlns:xccdf="http://checklists.nist.gov/xccdf/1.2" id="xccdf_amslpr_tailoring_default">',
    `  <xccdf:version time="${made}">1</xccdf:version>`,
    ...body,
    '</xccdf:Tailoring>',
    '',
  ].join('\n');
}
