import type { Tree, TreeEntry } from './tree.ts';

const MAX_LINKS = 40;

/**
 * The path without links in it, as the kernel would walk it inside the image (`..` never leaves the root). undefined
 * when a component is missing (the last one may be), is no directory, or links lead in circles.
 */
export function resolvePath(
  lookup: (path: string) => TreeEntry | undefined,
  path: string,
  last: 'follow' | 'keep-last',
): string | undefined {
  const todo = path.split('/').filter((part) => part !== '' && part !== '.');
  let done: string[] = [];
  let links = 0;
  while (true) {
    const part = todo.shift();
    if (part === undefined) return `/${done.join('/')}`;
    if (part === '..') {
      done.pop();
      continue;
    }
    const here = `/${[...done, part].join('/')}`;
    const entry = lookup(here);
    const isLast = todo.length === 0;
    if (entry?.type === 'symlink' && !(isLast && last === 'keep-last')) {
      if (++links > MAX_LINKS) return undefined;
      const target = entry.target ?? '';
      todo.unshift(...target.split('/').filter((word) => word !== '' && word !== '.'));
      if (target.startsWith('/')) done = [];
      continue;
    }
    if (!isLast && entry?.type !== 'directory') return undefined;
    done.push(part);
  }
}

/** The entry that a path leads to in the end. */
export function follow(tree: Tree, path: string): TreeEntry | undefined {
  const real = resolvePath((at) => tree.get(at), path, 'follow');
  return real === undefined ? undefined : tree.get(real);
}

/** A pattern as an expression over whole paths: `*` is any text within one component, `**` any components. */
export function patternToRegExp(pattern: string): RegExp {
  const source = pattern
    .split(/(\*\*\/|\/\*\*$|\*\*|\*)/)
    .map((piece) => {
      if (piece === '**/') return '(?:[^/]+/)*';
      if (piece === '/**') return '/.+';
      if (piece === '**') return '.*';
      if (piece === '*') return '[^/]*';
      return piece.replace(/[\\^$.|?+()[\]{}]/g, '\\$&');
    })
    .join('');
  return new RegExp(`^${source}$`, 's');
}

export const isPattern = (path: string): boolean => path.includes('*');

/** A predicate over paths that is true when one of the patterns fits. */
export function anyPattern(patterns: readonly string[]): (path: string) => boolean {
  const exact = new Set(patterns.filter((pattern) => !isPattern(pattern)));
  const expressions = patterns.filter(isPattern).map(patternToRegExp);
  return (path) => exact.has(path) || expressions.some((expression) => expression.test(path));
}

/** Entries that a path or pattern names, by path. */
export function find(tree: Tree, pattern: string): TreeEntry[] {
  if (!isPattern(pattern)) {
    const entry = tree.get(pattern);
    return entry === undefined ? [] : [entry];
  }
  const expression = patternToRegExp(pattern);
  return [...tree.entries()].filter((entry) => expression.test(entry.path));
}
