import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FORMS, type Form } from '../../src/core/values.ts';
import { stages } from '../../stages/index.ts';

/** What ends a value, or means something else than itself, in one of the files that values go into. */
const BREAKS = /[\s\p{Cc}\p{Zl}\p{Zp}"'`;$%\\{}()<>|&#!?^,]/u;
/** Characters of the above that one form has, with where it ends up and why they mean nothing there. */
const ALLOWED: Partial<Record<Form, string>> = {
  // console=ttyS1,115200 on the kernel command line, which knows spaces and quotes only.
  kernelConsole: ',',
  // config.txt knows lines, `=`, sections and comments at the start of a line.
  bootSetting: ',',
};

const forms = Object.entries(FORMS) as [Form, readonly [string, string]][];

describe.each(forms)('the form %s', (form, [pattern, example]) => {
  const accepted = new RegExp(pattern, 'u');

  it('takes its example', () => {
    expect(example).toMatch(accepted);
  });

  it('takes nothing that breaks out of a file', () => {
    const harmless = (text: string): boolean => ![...text].some((c) => BREAKS.test(c) && !ALLOWED[form]?.includes(c));
    fc.assert(
      fc.property(fc.stringMatching(accepted), (text) => harmless(text) && text.length > 0),
      { numRuns: 1000 },
    );
  });

  it('refuses its example with one foreign character anywhere', () => {
    const foreign = [...'\n\r\0\t "\'`;$%\\{}()<>|&#!?^\u2028\u0085\u00a0'];
    fc.assert(
      fc.property(fc.constantFrom(...foreign), fc.nat(example.length), (character, at) => {
        return !accepted.test(example.slice(0, at) + character + example.slice(at));
      }),
      { numRuns: 1000 },
    );
  });

  it('refuses what starts as an option, and what ends in a line break', () => {
    for (const text of ['-o', '--help', `${example}\n`, `\n${example}`, `${example}\nx`, '']) {
      expect(text).not.toMatch(accepted);
    }
  });
});

describe('addresses and names', () => {
  it.each<[Form, string[]]>([
    ['network', ['::1', 'fe80::', '2001:db8::/32', '1:2:3:4:5:6:7:8', '2001:db8::7:8/128', '10.0.0.0/8', '192.0.2.1']],
    ['server', ['time.example.com', 'ntp', '192.0.2.1', '2001:db8::1', '::1']],
    ['unitPattern', ['redis-server.service', 'getty@tty1.service', 'redis-*.timer']],
  ])('%s takes the usual ones', (form, texts) => {
    for (const text of texts) expect(text).toMatch(new RegExp(FORMS[form][0], 'u'));
  });
});

describe('options of stages', () => {
  it('have no text without a form', () => {
    const patterns = new Set(forms.map(([, [pattern]]) => pattern));
    const free = stages.flatMap((stage) =>
      strings(stage.options, stage.name).filter(([, pattern]) => pattern === undefined || !patterns.has(pattern)),
    );
    // A folder of the host, which is opened there and written nowhere.
    expect(free.map(([name]) => name)).toEqual(['application.source']);
  });
});

/** Every string below a schema with its pattern. */
function strings(schema: unknown, name: string): [name: string, pattern: string | undefined][] {
  if (schema === null || typeof schema !== 'object') return [];
  const { type, pattern, properties, items, anyOf } = schema as Record<string, unknown>;
  if (type === 'string' && !('const' in schema)) return [[name, pattern as string | undefined]];
  return [
    ...Object.entries(properties ?? {}).flatMap(([key, inner]) => strings(inner, `${name}.${key}`)),
    ...strings(items, `${name}[]`),
    ...((anyOf as unknown[] | undefined) ?? []).flatMap((inner) => strings(inner, name)),
  ];
}
