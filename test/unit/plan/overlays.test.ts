import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import Handlebars from 'handlebars';
import { describe, expect, it } from 'vitest';
import type { FileSpec } from '../../../src/core/contribution.ts';
import { type AnyStage, defineStage } from '../../../src/core/stage.ts';
import { makePlan } from '../../../src/plan/plan.ts';
import { stages } from '../../../stages/index.ts';
import { optionsToTry } from './option-sets.ts';

const root = join(import.meta.dirname, '../../..');

/** Every overlay that a stage asks for, with whatever options: path below overlays/ to the names it is given. */
const claimed = new Map<string, { readonly names: Set<string> | undefined }[]>();

for (const set of optionsToTry()) {
  const watched = stages.map((stage) => watch(stage));
  makePlan({ name: 'test', base: { kind: 'debian' }, stages: set }, watched, root);
}

/** The stage, telling what it asks for. */
function watch(stage: AnyStage): AnyStage {
  const note = (files: readonly FileSpec[] = []): void => {
    for (const { path, content } of files) {
      if (content.kind !== 'overlay') continue;
      const file = `${stage.name}${path}${content.data === undefined ? '' : '.hbs'}`;
      const names = content.data === undefined ? undefined : new Set(Object.keys(content.data));
      claimed.set(file, [...(claimed.get(file) ?? []), { names }]);
    }
  };
  const { collect } = stage;
  return defineStage({
    ...stage,
    contribute(options, context) {
      const contribution = stage.contribute(options, context);
      note(contribution.files);
      return contribution;
    },
    ...(collect === undefined
      ? {}
      : {
          collect(all, options, context) {
            const contribution = collect(all, options, context);
            note(contribution.files);
            return contribution;
          },
        }),
  });
}

const overlays = readdirSync(join(root, 'overlays'), { recursive: true, withFileTypes: true })
  .filter((entry) => !entry.isDirectory())
  .map((entry) => relative(join(root, 'overlays'), join(entry.parentPath, entry.name)))
  .sort();

/** Names that a template takes from its data: not what is below `each` of something, and no helpers. */
function namesUsed(template: string): Set<string> {
  const names = new Set<string>();
  const builtIn = new Set(['if', 'unless', 'each', 'with', 'this']);
  const visit = (node: unknown): void => {
    if (Array.isArray(node)) for (const one of node) visit(one);
    if (node === null || typeof node !== 'object' || Array.isArray(node)) return;
    const { type, original, parts, data, depth } = node as Record<string, unknown>;
    if (type === 'PathExpression' && data !== true && !builtIn.has(String(original))) {
      const [first] = parts as string[];
      if (first !== undefined && (depth === 0 || depth === 1)) names.add(first);
    }
    for (const [key, inner] of Object.entries(node)) if (key !== 'loc') visit(inner);
  };
  visit(Handlebars.parse(template));
  return names;
}

describe('overlays', () => {
  it('are each claimed by the stage of their folder, and none is claimed that is not there', () => {
    expect([...claimed.keys()].sort()).toEqual(overlays);
  });

  it('that are rendered have .hbs at their end, and others have no braces', () => {
    const braces = overlays.filter(
      (file) => !file.endsWith('.hbs') && /\{\{[#/a-z]/.test(readFileSync(join(root, 'overlays', file), 'utf8')),
    );
    expect(braces).toEqual([]);
  });
});

describe('templates', () => {
  const templates = [...claimed].flatMap(([file, claims]) => {
    const sets = claims.flatMap(({ names }) => (names === undefined ? [] : [[...names].sort().join()]));
    return [...new Set(sets)].map((names) => [file, names] as const);
  });

  it.each(templates)('%s uses the names it is given', (file, names) => {
    expect([...namesUsed(readFileSync(join(root, 'overlays', file), 'utf8'))].sort().join()).toBe(names);
  });
});
