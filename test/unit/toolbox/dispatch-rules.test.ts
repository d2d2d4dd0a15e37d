import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parseRules, ruleFor } from '../../../src/toolbox/dispatch-rules.ts';

const file = 'native/dispatch.rules';
const rules = parseRules(readFileSync(file, 'utf8'), file);

test.each([
  ['/usr/bin/dash', 'native'],
  ['/usr/bin/[', 'native'],
  ['/usr/bin/perl', 'perl'],
  ['/usr/bin/python3.13', 'python'],
  ['/usr/bin/uname', 'never'],
  ['/usr/sbin/ldconfig', 'never'],
  ['/usr/bin/systemctl', 'never'],
  ['/usr/bin/systemd-sysusers', 'never'],
  ['/usr/lib/systemd/systemd', 'never'],
  ['/usr/lib/apt/methods/http', 'native'],
  ['/usr/lib/apt/methods/sub/http', 'never'],
  ['/opt/anything', 'never'],
])('%s is %s', (path, rule) => {
  expect(ruleFor(path, rules)).toBe(rule);
});

test('a bad line is named with its number', () => {
  expect(() => parseRules('native /usr/bin/x why\nsometimes /usr/bin/y why\nnative /usr/bin/z\n', 'r')).toThrow(
    expect.objectContaining({
      problems: [
        expect.objectContaining({ where: { file: 'r', line: 2 } }),
        expect.objectContaining({ where: { file: 'r', line: 3 } }),
      ],
    }),
  );
});
