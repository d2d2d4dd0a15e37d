import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parseRules, ruleFor } from '../../../src/toolbox/dispatch-rules.ts';

const file = 'native/dispatch.rules';
const rules = parseRules(readFileSync(file, 'utf8'), file);

test.each([
  ['/usr/bin/dash', 'native'],
  ['/usr/bin/[', 'native'],
  ['/usr/bin/perl', 'perl'],
  ['/usr/bin/python3.13', 'arguments'],
  ['/usr/bin/systemd-hwdb', 'native'],
  ['/usr/bin/systemd-id128', 'never'],
  ['/usr/bin/uname', 'never'],
  ['/usr/sbin/ldconfig', 'never'],
  ['/usr/bin/systemctl', 'arguments'],
  ['/usr/bin/systemd-sysusers', 'never'],
  ['/usr/lib/systemd/systemd', 'never'],
  ['/usr/lib/apt/methods/http', 'native'],
  ['/usr/lib/apt/methods/sub/http', 'never'],
  ['/opt/anything', 'never'],
])('%s is %s', (path, rule) => {
  expect(ruleFor(path, rules)).toBe(rule);
});

test('arguments are read with their spaces', () => {
  const text = 'arguments /usr/bin/x why\nwith /usr/bin/x "-c print(1)  *" why not\n';
  expect(parseRules(text, 'r').arguments).toEqual([{ path: '/usr/bin/x', pattern: '-c print(1)  *' }]);
});

test('every program with listed arguments has the rule for it, and the other way round', () => {
  const paths = [...new Set(rules.arguments.map(({ path }) => path))];
  expect(paths.map((path) => ruleFor(path, rules))).toEqual(paths.map(() => 'arguments'));
  const wanted = rules.programs.filter(({ rule }) => rule === 'arguments');
  expect(wanted.filter(({ path }) => !paths.some((one) => path.test(one)))).toEqual([]);
});

test('a bad line is named with its number', () => {
  expect(() =>
    parseRules('native /usr/bin/x why\nsometimes /usr/bin/y why\nnative /usr/bin/z\nwith /usr/bin/x -c why\n', 'r'),
  ).toThrow(
    expect.objectContaining({
      problems: [
        expect.objectContaining({ where: { file: 'r', line: 2 } }),
        expect.objectContaining({ where: { file: 'r', line: 3 } }),
        expect.objectContaining({ where: { file: 'r', line: 4 } }),
      ],
    }),
  );
});
