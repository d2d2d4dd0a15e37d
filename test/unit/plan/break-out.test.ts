import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { makePlan } from '../../../src/plan/plan.ts';
import { stages } from '../../../stages/index.ts';
import { defaults } from './option-sets.ts';

const root = join(import.meta.dirname, '../../..');

interface TextOption {
  readonly stage: string;
  readonly option: string;
  readonly pattern: string;
  readonly list: boolean;
}

/** Every option that takes text, or a list of it. */
const textOptions: readonly TextOption[] = stages.flatMap((stage) =>
  Object.entries(stage.options.properties).flatMap(([option, schema]) => {
    const { pattern, items } = schema as { pattern?: string; items?: { pattern?: string } };
    // A folder of the host: it is opened there, and its path must be in no file at all.
    if (`${stage.name}.${option}` === 'application.source') return [];
    const found = pattern ?? items?.pattern;
    return found === undefined ? [] : [{ stage: stage.name, option, pattern: found, list: pattern === undefined }];
  }),
);

/** What a file has that means something to the program that reads it, line by line. */
const STRUCTURE = /[^\s"'`;$%\\{}()<>|&#!\r\v\f\u0085\u2028\u2029]/gu;

const shape = (text: string): string[] => text.split('\n').map((line) => line.replace(STRUCTURE, ''));

/** The shape of each file, list and table that the stage gives the engine, by name. */
function shapes({ stage: name, option, list }: TextOption, value: string): Record<string, string[]> {
  const stage = stages.find((one) => one.name === name);
  if (stage === undefined) throw new Error(`no stage ${name}`);
  const options = { ...(defaults()[name] as object), [option]: list ? [value] : value };
  const own = { ...stage, needs: [] };
  const plan = makePlan({ name: 'test', base: { kind: 'debian' }, stages: { [name]: options } }, [own], root);
  const files = plan.files.map(({ path, bytes }) => [path, shape(Buffer.from(bytes ?? []).toString())] as const);
  return {
    ...Object.fromEntries(files),
    packages: plan.packages.map((one) => shape(one).join()),
    cmdline: plan.cmdline.map((one) => shape(one).join()),
    config: plan.configTxt.map((one) => shape(one).join()),
    units: Object.keys(plan.units).map((one) => shape(one).join()),
  };
}

it('there are options with text', () => {
  expect(textOptions.map(({ stage, option }) => `${stage}.${option}`)).toContain('base-system.hostname');
});

describe.each(textOptions)('$stage.$option', (option) => {
  const value = fc.stringMatching(new RegExp(option.pattern, 'u'));

  it('changes the shape of no file, whatever it is', { timeout: 30_000 }, () => {
    const [example = ''] = fc.sample(value, { numRuns: 1, seed: 1 });
    const expected = shapes(option, example);
    fc.assert(
      fc.property(value, (text) => {
        expect(shapes(option, text)).toEqual(expected);
      }),
      { numRuns: 30 },
    );
  });
});
