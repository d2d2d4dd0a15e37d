import { answeredBy, dataOf, readContent } from '../content.ts';
import { type Exception, notNeeded } from '../exceptions.ts';
import { type Figure, type Judge, type Measure, named, type Scene } from '../figure.ts';

interface Profile {
  readonly name: string;
  readonly title: string;
  /** What the rules are made from. */
  readonly benchmark: string;
  /** Share of the applicable rules, in percent, and how many rules may be exceptions. */
  readonly goal?: { readonly percent: number; readonly exceptions: number; readonly applicable?: number };
}

export const PROFILES: readonly Profile[] = [
  {
    name: 'cis_level1_server',
    title: 'CIS Debian 13, level 1 server',
    benchmark: 'CIS',
    goal: { percent: 95, exceptions: 20, applicable: 330 },
  },
  {
    name: 'cis_level2_server',
    title: 'CIS Debian 13, level 2 server',
    benchmark: 'CIS',
    goal: { percent: 90, exceptions: 35 },
  },
  {
    name: 'anssi_bp28_intermediary',
    title: 'ANSSI BP-028, intermediary',
    benchmark: 'BP-028',
    goal: { percent: 85, exceptions: 35 },
  },
  { name: 'anssi_bp28_enhanced', title: 'ANSSI BP-028, enhanced', benchmark: 'BP-028' },
];

/** Rule to result, of `oscap xccdf eval --progress`: one `…_rule_NAME:RESULT` a line. */
export const readProgress = (text: string): Map<string, string> =>
  new Map([...text.matchAll(/_rule_(\S+?):(\w+)$/gm)].map(([, rule = '', result = '']) => [rule, result]));

/** Judged and found wanting. What the scanner could not find out counts as that too. */
const FAILED = new Set(['fail', 'error', 'unknown', 'notchecked']);

function share(results: ReadonlyMap<string, string>, without: ReadonlySet<string>) {
  const counted = [...results].filter(
    ([rule, result]) => !without.has(rule) && (result === 'pass' || FAILED.has(result)),
  );
  const passed = counted.filter(([, result]) => result === 'pass').length;
  const percent = counted.length === 0 ? 0 : (100 * passed) / counted.length;
  return { percent, total: counted.length, failed: counted.filter(([, result]) => result !== 'pass') };
}

/** The figure of one profile, raw and without the exceptions; an exception that would pass is not needed, and fails. */
export function profileFigure(
  profile: Profile,
  results: ReadonlyMap<string, string>,
  exceptions: readonly Exception[],
  by: Judge,
): Figure {
  const mine = exceptions.filter((one) => one.profiles.includes(profile.name));
  const raw = share(results, new Set());
  const tailored = share(results, new Set(mine.map(({ rule }) => rule)));
  const idle = notNeeded(mine, (rule) => FAILED.has(results.get(rule) ?? ''));
  const { goal } = profile;
  const enough = goal !== undefined && raw.total >= (goal.applicable ?? 1) && mine.length <= goal.exceptions;
  return {
    id: `openscap/${profile.name.replace('_', '/')}`,
    title: profile.title,
    figure: `${tailored.percent.toFixed(1)} % of ${tailored.total} rules, ${mine.length} exceptions (raw ${raw.percent.toFixed(1)} % of ${raw.total})`,
    // Without a goal it is only reported, but an exception that is not needed is an error all the same.
    ...(goal === undefined
      ? idle.length === 0
        ? {}
        : { goal: 'no exception without need', met: false }
      : {
          goal: `${goal.percent} %, ${goal.exceptions} exceptions at most${goal.applicable === undefined ? '' : `, of ${goal.applicable} rules`}`,
          met: enough && tailored.percent >= goal.percent && idle.length === 0,
        }),
    ...by,
    below: [...idle, ...tailored.failed.map(([rule, result]) => (result === 'fail' ? rule : `${rule} (${result})`))],
  };
}

const CONTENT = '/usr/share/xml/scap/ssg/content/ssg-debian13-ds.xml';

/** Two profiles of one kind: nearly all rules of `part` are in `whole`, and one run answers for both. */
const RUNS = [
  { name: 'openscap/cis', part: 'cis_level1_server', whole: 'cis_level2_server' },
  { name: 'openscap/anssi', part: 'anssi_bp28_intermediary', whole: 'anssi_bp28_enhanced' },
] as const;

/** `rules`: these alone of the profile. */
async function evaluate(scene: Pick<Scene, 'root'>, profile: string, rules: readonly string[] = []) {
  const only = rules.map((rule) => `--rule xccdf_org.ssgproject.content_rule_${rule}`).join(' ');
  const text = await scene.root(
    `tool oscap xccdf eval --progress --skip-valid --profile xccdf_org.ssgproject.content_profile_${profile} ${only} \
      /run/score${CONTENT} 2>/dev/null || [ $? -eq 2 ]`,
    7200,
  );
  return readProgress(text);
}

export const openscap: readonly Measure[] = RUNS.map(({ name, part, whole }) => ({
  name,
  // A quarter of an hour for CIS under emulation: it asks the service manager about every unit, again and again.
  slow: true,
  async run(scene) {
    const content = await readContent(scene.tools.disk, CONTENT);
    const { same, others } = answeredBy(content, part, whole);
    const large = await evaluate(scene, whole);
    const rest = others.length === 0 ? new Map<string, string>() : await evaluate(scene, part, others);
    const small = new Map([...large].filter(([rule]) => same.has(rule)));
    for (const rule of others) {
      const result = rest.get(rule);
      if (result !== undefined) small.set(rule, result);
    }
    const tool = `${named(scene, 'openscap-scanner')}, ${named(scene, 'ssg-debian')}`;
    const exceptions = scene.exceptions['openscap'] ?? [];
    return PROFILES.filter((profile) => [part, whole].some((one) => one === profile.name)).map((profile) =>
      profileFigure(profile, profile.name === whole ? large : small, exceptions, {
        tool,
        data: dataOf(content, profile.name, profile.benchmark),
      }),
    );
  },
}));
