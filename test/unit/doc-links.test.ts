import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';

// Pages lead to pages, headings and files that are there.

const root = join(import.meta.dirname, '../..');
const below = (folder: string): string[] =>
  readdirSync(join(root, folder)).flatMap((name) => (name.endsWith('.md') ? `${folder}/${name}` : []));
const pages = ['README.md', ...below('docs'), ...below('docs/runbooks')];

/** Names in pages that stand for others, and a path of the application. */
const examples = new Set(['stages/NAME.ts', 'stages/greeting.ts', 'overlays/STAGE/', 'src/web/app.py']);
const ours = /^(?:bench|ci|config|device|docs|native|overlays|src|standin|stages|test)\/[\w./-]*[./][\w-]*$/;

const slug = (heading: string): string =>
  heading
    .toLowerCase()
    .replaceAll(/[^\w -]/g, '')
    .replaceAll(' ', '-');

function missing(page: string, text: string): string[] {
  const links = [...text.matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)/g)].filter(([, path = '', anchor]) => {
    const file = path === '' ? join(root, page) : join(root, dirname(page), path);
    if (!existsSync(file)) return true;
    if (anchor === undefined) return false;
    return ![...readFileSync(file, 'utf8').matchAll(/^#+ (.*)$/gm)].some(
      ([, heading = '']) => slug(heading) === anchor,
    );
  });
  const paths = [...text.matchAll(/`([^`\s]+)`/g)].filter(
    ([, path = '']) => ours.test(path) && !examples.has(path) && !existsSync(join(root, path)),
  );
  return [...links, ...paths].map(([found]) => found);
}

it.each(pages)('%s leads to what is there', (page) => {
  expect(missing(page, readFileSync(join(root, page), 'utf8'))).toEqual([]);
});

it.each([
  ['a page', '[a](dreams.md)'],
  ['a heading', '[a](first-boot.md#dreams)'],
  ['a heading of its own', '[a](#dreams)'],
  ['a file', '`src/core/dreams.ts`'],
  ['a folder', '`test/dreams/`'],
])('%s that is not there is missed', (_what, text) => {
  expect(missing('docs/audit.md', text)).toEqual([/^[`]/.test(text) ? text : text.slice(2)]);
});
