import { expect, test } from 'vitest';
import type { Identity } from '../../power-cut/inspect.ts';
import { fixedAt, repeated } from '../../power-cut/judge.ts';
import { stepsOf } from '../../power-cut/marks.ts';
import type { Recording } from '../../power-cut/record.ts';
import { report } from '../../power-cut/report.ts';
import { choose } from '../../power-cut/select.ts';
import type { Result } from '../../power-cut/try-points.ts';
import type { Logged } from '../../power-cut/write-log.ts';

const identity = (name: string): Identity => ({
  ...{
    hostKey: `host ${name}`,
    machineId: `machine ${name}`,
    container: `container ${name}`,
    bundle: `bundle ${name}`,
  },
  ...{ tlsKey: `tls ${name}`, flaskKey: `flask ${name}`, fernetKey: `fernet ${name}` },
});
const marks = ['entropy', 'host-key', 'partitions', 'data', 'sudo-passwords', 'ready'].map((step, at) => ({
  ...{ step, logBytes: (at + 1) * 1000, seconds: at },
}));
const recording: Recording = {
  ...{ from: '', whole: true, firmware: { kernel: '', initramfs: '', masking: '', cmdline: '' }, marks, seconds: 100 },
  ...{ states: ['a', 'b', 'b', ...Array.from({ length: 68 }, (_, at) => `c${at}`)], identity: identity('first') },
};
/** A flush each 100 bytes. */
const log: Logged[] = Array.from({ length: 70 }, (_, at) => ({ entry: { kind: 'flush' }, end: (at + 1) * 100 }));
const result = (point: string, more: Partial<Result> = {}): Result => ({
  ...{ point, step: 'data', state: point, whole: false, boots: 1, seconds: 40, wrong: [] },
  ...more,
});

test('what was published is fixed, and nothing before', () => {
  expect(fixedAt(recording, 900)).toEqual({});
  expect(fixedAt(recording, 3000)).toEqual({ machineId: 'machine first', hostKey: 'host first' });
  expect(fixedAt(recording, 5500)).toMatchObject({ container: 'container first', bundle: 'bundle first' });
});

test('a full choice has every flush and its subsets once, the first ones from every step', () => {
  const all = choose(log, recording, { subsets: 1, whole: 10, seed: '1' });
  const cut = all.map(({ point }) => `${point.flush}.${point.subset ?? ''}`);
  expect(new Set(cut).size).toBe(cut.length);
  expect(cut).toHaveLength(71 * 2);
  // The image as it is runs in the place of a masked start, at flushes that are spread over all.
  const whole = all.flatMap((one) => (one.whole && one.point.subset === undefined ? [one.point.flush] : []));
  expect(whole.sort((a, b) => a - b)).toEqual([4, 11, 18, 25, 32, 39, 46, 53, 60, 67]);
  // A step of one flush is tried too; the card of the second flush is that of the first.
  const short = { ...recording, marks: [...marks, { step: 'short', logBytes: 6900, seconds: 9 }] };
  const flushes = choose(log, short, { subsets: 0, whole: 3, seed: '1' }).flatMap((one) =>
    one.whole ? [one.point.flush] : [],
  );
  const stepAt = stepsOf(short.marks, log);
  expect(new Set(flushes.map((flush) => stepAt(flush * 100))).size).toBe(marks.length + 2);
  expect(flushes).not.toContain(2);
  const first = new Set(all.slice(0, 14).map(({ point }) => Math.min(6, Math.floor(point.flush / 10))));
  expect(first.size).toBe(7);
});

test('a sample has points of each step, or of as many steps as it has points', () => {
  const stepAt = stepsOf(marks, log);
  const steps = new Set(log.map(({ end }) => stepAt(end)));
  const of = (count: number) =>
    choose(log, recording, { sample: count, subsets: 1, whole: 0, seed: '1' }).map(({ point }) => {
      const flushes = log.filter(({ entry }) => entry.kind === 'flush');
      return point.flush === 0 ? 'start' : stepAt(flushes[point.flush - 1]?.end ?? 0);
    });
  expect(new Set(of(steps.size + 1))).toEqual(steps);
  expect(new Set(of(3)).size).toBe(3);
});

test('a sample has as many as were asked for, and a step only its own', () => {
  expect(choose(log, recording, { sample: 5, subsets: 1, whole: 0, seed: '1' })).toHaveLength(5);
  const some = choose(log, recording, { subsets: 0, whole: 0, seed: '1', steps: ['data'] });
  expect(some.map(({ point }) => point.flush).sort()).toEqual([40, 41, 42, 43, 44, 45, 46, 47, 48, 49]);
});

test('steps that no flush parts are chosen together, by the name of each, and run unmodified', () => {
  const late = [6850, 6860, 6970].map((logBytes, at) => ({ step: `late-${at}`, logBytes, seconds: 9 }));
  // The card after the last flush is one that an earlier step has left.
  const twin = { states: [...recording.states.slice(0, 70), 'c3'], marks: [...marks, ...late] };
  const some = choose(log, twin, { subsets: 0, whole: 3, seed: '1', steps: ['late-1'] });
  expect(some.flatMap(({ point, whole }) => (whole ? [] : [point.flush]))).toEqual([]);
  const whole = some.flatMap((one) => (one.whole ? [one.point.flush] : []));
  const stepAt = stepsOf(twin.marks, log);
  expect(new Set(whole.map((flush) => stepAt(flush * 100)))).toEqual(
    new Set(['start', ...marks.map(({ step }) => step), 'late-0, late-1', 'late-2']),
  );
});

test('keys that two devices made are seen; those of the card that both come from are not', () => {
  const [a, b] = [identity('a'), identity('b')];
  expect(repeated([a, b, identity('first'), identity('first')], recording.identity)).toEqual([]);
  expect(repeated([a, { ...b, hostKey: a.hostKey }], recording.identity)).toEqual(['hostKey was made twice: host a']);
});

test('the table counts points, cards, boots and failures', () => {
  const results = [
    result('40', { identity: identity('a') }),
    result('41', { same: true, state: '40', boots: 0 }),
    result('41.0', { wrong: ['no host key'], identity: identity('b') }),
    result('40', { whole: true, seconds: 90 }),
    result('chain 1', { boots: 6, cuts: ['data', 'entropy', 'after ready', 'data', 'before the first step'] }),
  ];
  const { text, failures } = report(results, recording, Array<string>(7).fill('data'));
  expect(text).toContain('| data | 7 | 4 | 1 | 2 | 3 | 1 |');
  expect(text).toContain('| all | 7 | 4 | 1 | 2 | 3 | 1 |');
  expect(text).toContain('Unmodified image: 1 points, in 1 of 1 lines.');
  expect(text).toContain('1 (5 cuts), 0 failures');
  expect(text).toContain('was at: before the first step 1, entropy 1, data 2, after ready 1.');
  expect(text).toContain('FAILED 41.0 (data): no host key');
  expect(failures).toBe(1);
});
